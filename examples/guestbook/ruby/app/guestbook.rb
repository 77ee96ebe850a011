# A guest book: a CGI program. The request comes in environment variables and on stdin, the answer goes to stdout. Entries are
# lines of a file, each URL-encoded like the form that was sent.

require "cgi/util"
require "json"

MAX_BODY = 16 * 1024
MAX_NAME = 100
MAX_MESSAGE = 1000
FORM_TYPE = "application/x-www-form-urlencoded"

Entry = Struct.new(:id, :name, :message)
Answer = Struct.new(:status, :data, :html, :headers)

# What the client asked for that it does not get, and why.
class Refused < StandardError
  attr_reader :status, :headers

  def initialize(status, reason, headers = {})
    super(reason)
    @status = status
    @headers = headers
  end
end

# The entries in their file.
class Book
  FILE = "/data/entries.txt"

  def entries
    File.readlines(FILE, chomp: true).map.with_index(1) do |line, id|
      form = Form.new(line)
      Entry.new(id, form["name"], form["message"])
    end
  rescue Errno::ENOENT
    []
  end

  # One write at the end of the file: entries of others who sign at the same time come before or after it.
  def add(name, message)
    File.open(FILE, "a") { |file| file.syswrite("name=#{CGI.escape(name)}&message=#{CGI.escape(message)}\n") }
  end
end

# Pairs as `name=value&…`, URL-encoded.
class Form
  def initialize(text, separator = "&")
    @pairs = text.b.split(separator).to_h { |pair| pair.strip.partition("=").values_at(0, 2) }
  end

  def [](name) = CGI.unescape(@pairs.fetch(name, "")).force_encoding(Encoding::UTF_8)
end

# One request and the answer to it.
class GuestBook
  def initialize(env, input)
    @env = env
    @input = input
    @base = "#{CGI.escape(env.fetch("SCRIPT_NAME", "")).gsub("%2F", "/").gsub("+", "%20")}/"
    @book = Book.new
  end

  def answer
    route
  rescue Refused => error
    error_answer(error.status, error.message, error.headers)
  rescue StandardError => error
    warn error.full_message(highlight: false)
    error_answer("500 Internal Server Error", "the guest book is out of order")
  end

  private

  def route
    case @env.fetch("PATH_INFO", "").scrub
    when "", "/"
      return sign if @env["REQUEST_METHOD"] == "POST"

      allow("GET", "HEAD", "POST")
      show_all
    when %r{\A/entries/(.*)\z}m
      allow("GET", "HEAD")
      show_one($1)
    else
      raise Refused.new("404 Not Found", "there is nothing here")
    end
  end

  def allow(*methods)
    return if methods.include?(@env["REQUEST_METHOD"])

    raise Refused.new("405 Method Not Allowed", "this can only be read", "Allow" => methods.join(", "))
  end

  def show_all
    entries = @book.entries
    name = Form.new(@env.fetch("HTTP_COOKIE", ""), ";")["name"].scrub
    html = page("Guest book", <<~HTML)
      <ul>
      #{entries.map { |entry| item(entry) }.join}</ul>
      <form method="post" action="#{@base}">
      <p><label>Name <input name="name" value="#{CGI.escape_html(name)}" maxlength="#{MAX_NAME}" required></label></p>
      <p><label>Message <textarea name="message" maxlength="#{MAX_MESSAGE}" required></textarea></label></p>
      <p><button>Sign</button></p>
      </form>
    HTML
    Answer.new("200 OK", { entries: entries.map(&:to_h) }, html, {})
  end

  def show_one(number)
    entry = @book.entries[number.to_i - 1] if number.match?(/\A[1-9][0-9]{0,8}\z/)
    raise Refused.new("404 Not Found", "there is no entry #{number}") unless entry

    html = page("Guest book", "<ul>\n#{item(entry)}</ul>\n<p><a href=\"#{@base}\">All entries</a></p>\n")
    Answer.new("200 OK", entry.to_h, html, {})
  end

  def sign
    type = @env.fetch("CONTENT_TYPE", "").scrub[/\A[^;]*/].strip.downcase
    raise Refused.new("415 Unsupported Media Type", "send a form, URL-encoded") if type != FORM_TYPE

    body = @input.read(MAX_BODY + 1) || ""
    raise Refused.new("413 Content Too Large", "that is too much for a guest book") if body.bytesize > MAX_BODY

    form = Form.new(body)
    name = required(form, "name", MAX_NAME)
    @book.add(name, required(form, "message", MAX_MESSAGE))
    Answer.new("303 See Other", {}, page("Thank you", "<p><a href=\"#{@base}\">All entries</a></p>\n"),
               "Location" => @base,
               "Set-Cookie" => "name=#{CGI.escape(name)}; Path=#{@base}; HttpOnly; SameSite=Lax")
  end

  def required(form, field, limit)
    value = form[field]
    value = value.valid_encoding? ? value.strip : ""
    return value if value.length.between?(1, limit)

    raise Refused.new("400 Bad Request", "the #{field} must be text of 1 to #{limit} characters")
  end

  def error_answer(status, reason, headers = {})
    Answer.new(status, { error: reason }, page(status[4..], "<p>#{CGI.escape_html(reason)}</p>\n"), headers)
  end

  def item(entry)
    "<li id=\"entry-#{entry.id}\"><strong>#{CGI.escape_html(entry.name)}</strong>: #{CGI.escape_html(entry.message)}</li>\n"
  end

  def page(title, content)
    "<!doctype html>\n<html lang=\"en\">\n<title>#{title}</title>\n<h1>#{title}</h1>\n#{content}"
  end
end

answer = GuestBook.new(ENV, $stdin.binmode).answer
wants_json = ENV.fetch("HTTP_ACCEPT", "").include?("application/json")
headers = { "Status" => answer.status, "Vary" => "Accept", **answer.headers,
            "Content-Type" => wants_json ? "application/json" : "text/html; charset=utf-8" }
print headers.map { |name, value| "#{name}: #{value}\n" }.join, "\n", wants_json ? JSON.generate(answer.data) : answer.html
