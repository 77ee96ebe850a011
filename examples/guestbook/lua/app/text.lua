-- Text in the forms that the Web wants it in.

local text = {}

local ENTITIES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

-- For HTML, between tags and in quoted attributes.
function text.escape(s) return (s:gsub("[&<>\"']", ENTITIES)) end

-- A JSON string, of UTF-8.
function text.json(s)
  return '"' .. s:gsub('[%c"\\]', function(c) return ("\\u%04x"):format(c:byte()) end) .. '"'
end

-- For URLs and forms. The characters of `safe` stay as they are.
function text.url_encode(s, safe)
  return (s:gsub("[^%w%-._~" .. (safe or "") .. "]", function(c) return ("%%%02X"):format(c:byte()) end))
end

function text.url_decode(s)
  return (s:gsub("+", " "):gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

-- The fields of `name=Ada&message=Hello+there`; of a name that is there twice, the first.
function text.form_decode(s)
  local fields = {}
  for name, value in s:gmatch("([^=&]+)=([^&]*)") do
    name = text.url_decode(name)
    fields[name] = fields[name] or text.url_decode(value)
  end
  return fields
end

return text
