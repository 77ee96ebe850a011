-- A CGI program: the request is in the environment and on stdin, the answer goes to stdout.

local ENTITIES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

local function escape(s) return (s:gsub("[&<>\"']", ENTITIES)) end

local function url_decode(s)
  return (s:gsub("+", " "):gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

local function query(wanted)
  for name, value in (os.getenv("QUERY_STRING") or ""):gmatch("([^=&]+)=([^&]*)") do
    if url_decode(name) == wanted then return url_decode(value) end
  end
  return ""
end

local name = query("name")
if name == "" then name = "World" end

io.write("Content-Type: text/html; charset=utf-8\r\n\r\n")
io.write(([[
<!doctype html>
<title>%s</title>
<h1>Hello, %s!</h1>
<form>Who are you? <input name="name"> <button>Greet me</button></form>
]]):format(escape(name), escape(name)))
