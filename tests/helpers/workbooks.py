"""Writes the spreadsheets that the tests of data sets read."""

import openpyxl
import xlwt


def write_workbook(path, sheets):
    """Writes rows of cells as a workbook, in the format that the file's suffix says.

    Args:
        path: ends in `.xlsx`, or in `.xls` for the binary format of Excel 97.
        sheets: name -> rows, each a list of cells: text stays text even if it is made of digits,
            numbers become numbers, None leaves the cell empty.

    Returns:
        The path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".xls":
        book = xlwt.Workbook()
        for name, rows in sheets.items():
            sheet = book.add_sheet(name)
            for row, column, cell in _cells(rows):
                sheet.write(row, column, cell)
        book.save(str(path))
    else:
        book = openpyxl.Workbook()
        book.remove(book.active)
        for name, rows in sheets.items():
            sheet = book.create_sheet(name)
            for row, column, cell in _cells(rows):
                sheet.cell(row + 1, column + 1, cell)
        book.save(path)
    return path


def _cells(rows):
    for row, cells in enumerate(rows):
        for column, cell in enumerate(cells):
            if cell is not None:
                yield row, column, cell
