"""The paper's four published data sets, which are coded in workbooks: a file each."""
