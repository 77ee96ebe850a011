-- A guest book as a CGI program: the request is in the environment and on stdin, the answer goes to stdout.

local entries = require "entries"
local text = require "text"

local MAX_BODY, MAX_NAME, MAX_MESSAGE = 16 * 1024, 100, 1000

local function env(name) return os.getenv(name) or "" end

-- The URL path of the guest book itself, wherever the host has mounted it.
local base = text.url_encode(env("SCRIPT_NAME"), "/") .. "/"

-- Ends the request with an answer for whoever asked; any other error is answered 500.
local function fail(status, reason, headers)
  error({ status = status, reason = reason, headers = headers or {} })
end

local function respond(status, headers, body)
  io.write("Status: ", status, "\r\n")
  for name, value in pairs(headers) do io.write(name, ": ", value, "\r\n") end
  io.write("\r\n", body)
end

-- Answers as JSON who wants that, and with a page everybody else.
local function respond_as_asked(status, headers, json, title, content)
  headers["Vary"] = "Accept"
  if env("HTTP_ACCEPT"):find("application/json", 1, true) then
    headers["Content-Type"] = "application/json"
    return respond(status, headers, json)
  end
  headers["Content-Type"] = "text/html; charset=utf-8"
  title = text.escape(title)
  respond(status, headers, '<!doctype html>\n<html lang="en">\n<meta name="viewport" content="width=device-width">\n'
    .. "<title>" .. title .. "</title>\n<h1>" .. title .. "</h1>\n" .. content .. "</html>\n")
end

local function entry_json(entry)
  return ('{"id":%d,"name":%s,"message":%s}'):format(entry.id, text.json(entry.name), text.json(entry.message))
end

local function entry_html(entry)
  return ('<li id="entry-%d"><strong>%s</strong>: %s</li>\n')
    :format(entry.id, text.escape(entry.name), text.escape(entry.message))
end

local function map(list, convert)
  local converted = {}
  for i, value in ipairs(list) do converted[i] = convert(value) end
  return converted
end

local function link() return '<p><a href="' .. base .. '">The guest book</a></p>\n' end

local function form(visitor)
  return '<form method="post" action="' .. base .. '">\n'
    .. '<p><label>Your name <input name="name" value="' .. text.escape(visitor)
    .. '" maxlength="' .. MAX_NAME .. '" required></label></p>\n'
    .. '<p><label>Your message <textarea name="message" maxlength="' .. MAX_MESSAGE
    .. '" required></textarea></label></p>\n'
    .. "<p><button>Sign</button></p>\n</form>\n"
end

local function cookie(wanted)
  for name, value in env("HTTP_COOKIE"):gmatch("([^=;%s]+)=([^;]*)") do
    if name == wanted then return text.url_decode(value) end
  end
  return ""
end

local function list()
  local all = entries.read()
  respond_as_asked("200 OK", {}, '{"entries":[' .. table.concat(map(all, entry_json), ",") .. "]}", "Guest book",
    "<ul>\n" .. table.concat(map(all, entry_html)) .. "</ul>\n" .. form(cookie("name")))
end

local function show(id)
  local entry = entries.read()[tonumber(id)] or fail("404 Not Found", "there is no entry " .. id)
  respond_as_asked("200 OK", {}, entry_json(entry), "Entry " .. id, "<ul>\n" .. entry_html(entry) .. "</ul>\n" .. link())
end

local function sign()
  local media_type = env("CONTENT_TYPE"):match("^[^;%s]*"):lower()
  if media_type ~= "application/x-www-form-urlencoded" then
    fail("415 Unsupported Media Type", "send the form URL-encoded")
  end
  local length = tonumber(env("CONTENT_LENGTH")) or 0
  if length > MAX_BODY then fail("413 Content Too Large", "that is too much") end

  local fields = text.form_decode(io.read(length) or "")
  local function field(name, max)
    local value = (fields[name] or ""):match("^%s*(.-)%s*$")
    local characters = utf8.len(value) or fail("400 Bad Request", "the " .. name .. " is not UTF-8")
    if characters == 0 then fail("400 Bad Request", "the " .. name .. " is missing") end
    if characters > max then fail("400 Bad Request", ("the %s is longer than %d characters"):format(name, max)) end
    return value
  end
  local name, message = field("name", MAX_NAME), field("message", MAX_MESSAGE)

  entries.add(name, message)
  local set_cookie = ("name=%s; Path=%s; HttpOnly; SameSite=Lax"):format(text.url_encode(name), base)
  respond("303 See Other", { ["Location"] = base, ["Set-Cookie"] = set_cookie }, "")
end

local function handle()
  local method, path = env("REQUEST_METHOD"), env("PATH_INFO")
  if method == "HEAD" then method = "GET" end -- the host leaves out the body
  local id = path:match("^/entries/(%d+)$")
  local allow
  if path == "" or path == "/" then
    if method == "GET" then return list() end
    if method == "POST" then return sign() end
    allow = "GET, HEAD, POST"
  elseif id then
    if method == "GET" then return show(id) end
    allow = "GET, HEAD"
  else
    fail("404 Not Found", "there is nothing here")
  end
  fail("405 Method Not Allowed", "this can only be asked with " .. allow, { Allow = allow })
end

local ok, failure = xpcall(handle, function(failure)
  if type(failure) == "table" then return failure end
  io.stderr:write(debug.traceback(failure), "\n")
  return { status = "500 Internal Server Error", reason = "the guest book is out of order", headers = {} }
end)
if not ok then
  respond_as_asked(failure.status, failure.headers, '{"error":' .. text.json(failure.reason) .. "}",
    failure.status:sub(5), "<p>" .. text.escape(failure.reason) .. "</p>\n" .. link())
end
