// A CGI program: the request is in the environment and on stdin, the answer goes to stdout.

function query(wanted: string): string {
  const pairs = process.env.has("QUERY_STRING") ? process.env.get("QUERY_STRING").split("&") : [];
  for (let i = 0; i < pairs.length; i++) {
    if (pairs[i].startsWith(wanted + "=")) return decode(pairs[i].substring(wanted.length + 1));
  }
  return "";
}

// Undoes URL encoding. decodeURIComponent would end the program where that is wrong.
function decode(text: string): string {
  const parts = text.replaceAll("+", " ").split("%");
  const bytes = new Array<u8>();
  for (let i = 0; i < parts.length; i++) {
    let rest = parts[i];
    if (i > 0) {
      bytes.push(u8(parseInt(rest.substring(0, 2), 16)));
      rest = rest.substring(2);
    }
    for (let j = 0; j < rest.length; j++) bytes.push(u8(rest.charCodeAt(j)));
  }
  return String.UTF8.decodeUnsafe(bytes.dataStart, bytes.length);
}

function escape(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("'", "&#39;");
}

const sent = query("name");
const name = escape(sent == "" ? "World" : sent);
process.stdout.write(`Content-Type: text/html; charset=utf-8\r
\r
<!doctype html>
<title>${name}</title>
<h1>Hello, ${name}!</h1>
<form>Who are you? <input name="name"> <button>Greet me</button></form>
`);
