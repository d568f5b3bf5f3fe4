"use strict";
// Sorts tables, filters galleries, opens what is folded before printing. Without it, all is there.

function cellValue(row, column) {
  const cell = row.cells[column];
  return cell.dataset.value ?? cell.textContent.trim();
}

function compare(a, b) {
  const numbers = [Number(a), Number(b)];
  return numbers.every(Number.isFinite)
    ? numbers[0] - numbers[1]
    : a.localeCompare(b, "en", { numeric: true });
}

function sortBy(table, column, descending) {
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => ({ row, value: cellValue(row, column) }));
  rows.sort((a, b) => {
    if (a.value === "" || b.value === "") return (a.value === "") - (b.value === ""); // unknown: last
    return descending ? compare(b.value, a.value) : compare(a.value, b.value);
  });
  body.append(...rows.map(({ row }) => row));
}

function makeSortable(table) {
  const headers = [...table.tHead.rows[0].cells];
  headers.forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    header.ariaSort = "none";
    const numbersFirst = !header.matches(".text, .short, .prose, .id"); // of numbers, the largest matter first
    button.addEventListener("click", () => {
      const descending =
        header.ariaSort === "none" ? numbersFirst : header.ariaSort === "ascending";
      headers.forEach((other) => (other.ariaSort = "none"));
      header.ariaSort = descending ? "descending" : "ascending";
      sortBy(table, column, descending);
    });
  });
}

function makeFilterable(gallery) {
  const filters = [...gallery.querySelectorAll("select[data-filter]")];
  const items = [...gallery.querySelectorAll("ul.photos > li, tbody > tr")];
  const output = gallery.querySelector("output");
  const { many } = gallery.querySelector("form").dataset;
  const apply = () => {
    for (const item of items) {
      item.hidden = filters.some(
        ({ value, dataset }) => value && item.dataset[dataset.filter] !== value,
      );
    }
    const shown = items.filter((item) => !item.hidden).length;
    output.textContent = `${shown} of ${items.length} ${many}`;
  };
  filters.forEach((filter) => filter.addEventListener("change", apply));
  gallery.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
}

document.querySelectorAll("table[data-sortable]").forEach(makeSortable);
document.querySelectorAll("[data-gallery]").forEach(makeFilterable);
addEventListener("beforeprint", () => {
  document.querySelectorAll("details").forEach((details) => (details.open = true));
});
