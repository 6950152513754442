"""The SFTP server for banks: each bank sees its own drop folders and nothing else."""
