// Text in the forms that the Web wants it in.

class Html {
  constructor(text) {
    this.text = text;
  }

  toString() {
    return this.text;
  }
}

const ENTITIES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

// A template tag: what is put into the template is escaped unless it is HTML already, and lists are joined.
export function html(strings, ...values) {
  return new Html(String.raw({ raw: strings }, ...values.map(render)));
}

function render(value) {
  if (value instanceof Html) return value.text;
  if (Array.isArray(value)) return value.map(render).join("");
  return String(value).replaceAll(/[&<>"']/g, (character) => ENTITIES[character]);
}

export const encode = encodeURIComponent;

const decode = (text) => decodeURIComponent(text.replaceAll("+", " "));

// The fields of `name=Ada&message=Hello+there`, as a Map. Throws where the encoding is wrong.
export function decodeForm(text) {
  const pairs = text.split("&").map((pair) => {
    const [name, ...value] = pair.split("=");
    return [decode(name), decode(value.join("="))];
  });
  return new Map(pairs);
}
