#!/bin/bash
# Pretrain the original size on two machines of eight GPUs by Slurm: sbatch .docs/clusters/slurm.sh
# The directory of the runs and cache_dir lie on a file system that all machines share.
#SBATCH --job-name=elmo
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=48:00:00
#SBATCH --signal=TERM@120  # time to save before the end
#SBATCH --requeue

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
exec srun torchrun --nnodes="$SLURM_NNODES" --nproc-per-node=8 --max-restarts=3 \
    --rdzv-id="$SLURM_JOB_ID" --rdzv-backend=c10d --rdzv-endpoint="$head:29500" \
    -m experiments.train experiment=elmo_original data=lm1b name=original resume=auto "$@"
