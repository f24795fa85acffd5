"use strict";
document.documentElement.classList.add("js");
for (const split of document.querySelectorAll(".split")) {
  const leaves = [...split.querySelectorAll(".hex b")];
  const fields = [...split.querySelectorAll(".fields li")];
  const span = (element) => [Number(element.dataset.s), Number(element.dataset.e)];
  let pinned = null;
  const light = (start, end, field) => {
    for (const leaf of leaves) {
      const [s, e] = span(leaf);
      leaf.classList.toggle("lit", s >= start && e <= end);
    }
    for (const one of fields) one.classList.toggle("lit", one === field);
  };
  const clear = () => {
    if (pinned) light(...span(pinned), pinned);
    else light(-1, -1, null);
  };
  const fieldOf = (start) => {
    let found = null;
    for (const one of fields) {
      const [s, e] = span(one);
      if (s <= start && start < e) found = one;
    }
    return found;
  };
  const show = (field) => light(...span(field), field);
  const pin = (field) => {
    pinned = pinned === field ? null : field;
    if (pinned) show(pinned);
    else clear();
  };
  const reveal = (field) => {
    for (let up = field.parentElement; up && up !== split; up = up.parentElement)
      if (up.tagName === "DETAILS") up.open = true;
    field.scrollIntoView({ block: "nearest" });
  };
  for (const field of fields) {
    const head = field.querySelector(":scope > .f, :scope > details > summary");
    head.addEventListener("mouseenter", () => show(field));
    head.addEventListener("mouseleave", clear);
    head.addEventListener("focus", () => show(field));
    head.addEventListener("blur", clear);
    if (field.classList.contains("leaf")) {
      head.tabIndex = -1;
      head.addEventListener("click", () => pin(field));
    }
  }
  for (const leaf of leaves) {
    leaf.addEventListener("mouseenter", () => {
      const field = fieldOf(Number(leaf.dataset.s));
      if (field) show(field);
    });
    leaf.addEventListener("mouseleave", clear);
    leaf.addEventListener("click", () => {
      const field = fieldOf(Number(leaf.dataset.s));
      if (!field) return;
      reveal(field);
      pinned = null;
      pin(field);
    });
  }
  // Arrows walk through the fields: one stop for Tab, whatever a message holds.
  const heads = () =>
    fields
      .map((field) => field.querySelector(":scope > .f, :scope > details > summary"))
      .filter((head) => head.offsetParent !== null);
  const list = split.querySelector(".fields");
  const first = fields[0] && fields[0].querySelector(":scope > .f, :scope > details > summary");
  if (first) first.tabIndex = 0;
  list.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const all = heads();
    const at = all.indexOf(document.activeElement);
    if (at < 0) return;
    if (step) {
      const next = all[at + step];
      if (next) next.focus();
      event.preventDefault();
    } else if (event.key === "Enter" && document.activeElement.classList.contains("f")) {
      pin(document.activeElement.parentElement);
      event.preventDefault();
    }
  });
}
const every = (open) => {
  for (const one of document.querySelectorAll("details.m")) one.open = open;
};
for (const button of document.querySelectorAll("[data-all]"))
  button.addEventListener("click", () => every(button.dataset.all === "open"));
const open = () => {
  const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
  if (target && target.tagName === "DETAILS") target.open = true;
};
addEventListener("hashchange", open);
open();
