/** Making elements. Text is always set as text: nothing that came over the wire is ever parsed as HTML. */

/** An element with attributes and children; a child that is a string becomes text, null and undefined nothing. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** A copy of what the page's template of that id holds. */
export function copyOf(template) {
  return document.getElementById(template).content.cloneNode(true);
}
