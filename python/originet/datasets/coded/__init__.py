"""The paper's four published data sets, coded in workbooks; one module for each."""
