// Text in the forms that the Web wants it in.

// For HTML, between tags and in quoted attributes.
export function escape(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("'", "&#39;");
}

// A JSON string.
export function json(text: string): string {
  const parts = new Array<string>();
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x20 || code == 0x22 || code == 0x5c) {
      parts.push("\\u" + code.toString(16).padStart(4, "0"));
    } else {
      parts.push(text.charAt(i));
    }
  }
  return `"${parts.join("")}"`;
}

// Undoes URL encoding. What is no UTF-8 gets replacement characters, where decodeURIComponent would end the program.
export function decode(text: string): string {
  const encoded = Uint8Array.wrap(String.UTF8.encode(text));
  const bytes = new Uint8Array(encoded.length);
  let end = 0;
  for (let i = 0; i < encoded.length; i++) {
    let byte = encoded[i];
    if (byte == 0x2b /* + */) {
      byte = 0x20;
    } else if (byte == 0x25 /* % */ && i + 2 < encoded.length && hex(encoded[i + 1]) >= 0 && hex(encoded[i + 2]) >= 0) {
      byte = u8((hex(encoded[i + 1]) << 4) | hex(encoded[i + 2]));
      i += 2;
    }
    bytes[end++] = byte;
  }
  const decoded = String.UTF8.decodeUnsafe(bytes.dataStart, end);
  return String.UTF8.decode(String.UTF8.encode(decoded, false, String.UTF8.ErrorMode.REPLACE));
}

function hex(byte: u8): i32 {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

// The fields of `name=Ada&message=Hello+there`.
export function decodeForm(text: string): Map<string, string> {
  const fields = new Map<string, string>();
  const pairs = text.split("&");
  for (let i = 0; i < pairs.length; i++) {
    const equals = pairs[i].indexOf("=");
    if (equals >= 0) fields.set(decode(pairs[i].substring(0, equals)), decode(pairs[i].substring(equals + 1)));
  }
  return fields;
}
