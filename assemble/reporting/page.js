"use strict";

// Sorting: a first click sorts (numbers from the largest), a second the other way round, a third restores the order.
function value(row, column) {
  const text = row.cells[column].dataset.value;
  if (text === undefined || text === "") return null;
  return row.cells[column].classList.contains("text") && isNaN(text) ? text : Number(text);
}

function compare(a, b) {
  return typeof a === "string" || typeof b === "string" ? String(a).localeCompare(String(b)) : a - b;
}

function sort(header) {
  const table = header.closest("table"), body = table.tBodies[0], column = header.cellIndex;
  const first = header.classList.contains("text") ? "ascending" : "descending";
  const second = first === "ascending" ? "descending" : "ascending";
  const now = header.getAttribute("aria-sort");
  const next = now === "none" ? first : now === first ? second : "none";
  for (const other of table.tHead.rows[0].cells) if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
  header.setAttribute("aria-sort", next);
  const sign = next === "descending" ? -1 : 1;
  const rows = [...body.rows].sort((a, b) => {
    if (next === "none") return a.dataset.row - b.dataset.row;
    const x = value(a, column), y = value(b, column);
    if (x === null || y === null) return (x === null) - (y === null); // what is missing comes last
    return sign * compare(x, y) || a.dataset.row - b.dataset.row;
  });
  body.append(...rows);
}

// What is pointed at in the table stands out in the plots, and the other way round.
function light(section, row, on) {
  for (const element of section.querySelectorAll(`[data-row="${row}"]`)) element.classList.toggle("lit", on);
}

const tip = document.getElementById("tip");

function show(element, x, y) {
  tip.textContent = element.dataset.tip;
  tip.hidden = false;
  tip.style.left = `${Math.max(8, Math.min(x + 14, innerWidth - tip.offsetWidth - 8))}px`;
  tip.style.top = `${y + 18 + tip.offsetHeight > innerHeight ? y - tip.offsetHeight - 10 : y + 18}px`;
}

// A row's number leads to where the row comes from.
addEventListener("hashchange", () => {
  const goal = document.getElementById(location.hash.slice(1));
  if (goal?.closest("details")) { goal.closest("details").open = true; goal.focus(); }
});

for (const section of document.querySelectorAll("section")) {
  for (const header of section.querySelectorAll("th[aria-sort]")) {
    header.firstElementChild.addEventListener("click", () => sort(header));
  }
  section.querySelector("input")?.addEventListener("input", (event) => {
    const wanted = event.target.value.toLowerCase();
    for (const row of section.querySelectorAll("tbody tr")) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  });
  for (const element of section.querySelectorAll("[data-row]")) {
    element.addEventListener("mouseenter", () => light(section, element.dataset.row, true));
    element.addEventListener("mouseleave", () => light(section, element.dataset.row, false));
  }
  for (const element of section.querySelectorAll("[data-tip]")) {
    element.addEventListener("mousemove", (event) => show(element, event.clientX, event.clientY));
    element.addEventListener("mouseleave", () => { tip.hidden = true; });
    element.addEventListener("focus", () => {
      const box = element.getBoundingClientRect();
      show(element, box.left + box.width / 2, box.top + box.height / 2);
    });
    element.addEventListener("blur", () => { tip.hidden = true; });
  }
}
