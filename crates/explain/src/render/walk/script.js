"use strict";
document.documentElement.classList.add("js");
const HEADS = ".fields p, .fields summary";
// A field and its bytes light each other up. The n-th leaf among the fields is the n-th span of bytes.
const wire = (split) => {
  const spans = [...split.querySelectorAll(".hex b")];
  const heads = [...split.querySelectorAll(HEADS)];
  const leaves = heads.filter((head) => head.tagName === "P");
  const place = new Map(leaves.map((leaf, index) => [leaf, index]));
  let pinned = null;
  let lit = null;
  const range = (head) => {
    const own = head.tagName === "P" ? [head] : head.parentElement.querySelectorAll("p");
    return [place.get(own[0]), place.get(own[own.length - 1])];
  };
  const light = (head) => {
    if (head === lit) return;
    const [from, to] = head ? range(head) : [1, 0];
    spans.forEach((span, index) => span.classList.toggle("lit", from <= index && index <= to));
    if (lit) lit.classList.remove("lit");
    if (head) head.classList.add("lit");
    lit = head;
  };
  const pin = (head) => {
    pinned = pinned === head ? null : head;
    light(pinned);
  };
  const headOf = (target) => target.closest(HEADS) || leaves[spans.indexOf(target.closest(".hex b"))];
  const reveal = (head) => {
    for (let up = head.parentElement; up !== split; up = up.parentElement)
      if (up.tagName === "DETAILS") up.open = true;
    head.scrollIntoView({ block: "nearest" });
  };
  split.addEventListener("mouseover", ({ target }) => {
    const head = headOf(target);
    const span = target.closest(".hex b");
    if (head && span) span.title = head.querySelector("b").textContent;
    light(head || pinned);
  });
  split.addEventListener("mouseleave", () => light(pinned));
  split.addEventListener("focusin", ({ target }) => light(headOf(target) || pinned));
  split.addEventListener("focusout", () => light(pinned));
  split.addEventListener("click", ({ target }) => {
    const head = headOf(target);
    if (!head || head.tagName !== "P") return;
    if (target.closest(".hex")) {
      reveal(head);
      pinned = null;
    }
    pin(head);
  });
  // Arrows walk through the fields: one stop for Tab, whatever a message holds.
  for (const leaf of leaves) leaf.tabIndex = -1;
  if (heads.length) heads[0].tabIndex = 0;
  split.querySelector(".fields").addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const all = heads.filter((head) => head.offsetParent !== null);
    const at = all.indexOf(document.activeElement);
    if (at < 0) return;
    if (step) {
      if (all[at + step]) all[at + step].focus();
      event.preventDefault();
    } else if (event.key === "Enter" && place.has(all[at])) {
      pin(all[at]);
      event.preventDefault();
    }
  });
};
// Of messages that are the same to the byte the page holds one; the others get a copy when they are opened.
const fill = (message) => {
  for (const same of message.querySelectorAll(".same")) {
    const copy = document.getElementById(same.dataset.of).cloneNode(true);
    copy.removeAttribute("id");
    same.after(copy);
  }
};
for (const message of document.querySelectorAll("details.m")) {
  const ready = () => {
    if (!message.open || message.dataset.ready) return;
    message.dataset.ready = "";
    fill(message);
    message.querySelectorAll(".split").forEach(wire);
  };
  message.addEventListener("toggle", ready);
  ready();
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
