"""Published data sets, coded in workbooks; one module for each."""
