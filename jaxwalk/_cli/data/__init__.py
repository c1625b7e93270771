"""Data from files, read batch by batch: npz, npy, csv, Parquet."""
