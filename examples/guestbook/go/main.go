// A guest book as a CGI program: net/http/cgi makes a request of the environment and of stdin, and an ordinary
// http.Handler answers it.
package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"log"
	"mime"
	"net/http"
	"net/http/cgi"
	"net/url"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	maxBody    = 16 << 10
	maxName    = 100
	maxMessage = 1000
)

var (
	//go:embed page.html
	pageSource string
	pages      = template.Must(template.New("page").Parse(pageSource))

	// base is the URL path of the guest book itself, wherever the host has mounted it.
	base = (&url.URL{Path: os.Getenv("SCRIPT_NAME") + "/"}).EscapedPath()
)

func main() {
	log.SetFlags(0) // the host's log has the time

	mux := http.NewServeMux()
	mux.Handle("GET /{$}", handler(list))
	mux.Handle("POST /{$}", handler(sign))
	mux.Handle("/{$}", methodNotAllowed("GET, HEAD, POST"))
	mux.Handle("GET /entries/{id}", handler(show))
	mux.Handle("/entries/{id}", methodNotAllowed("GET, HEAD"))
	mux.Handle("/", handler(notFound))

	err := cgi.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path, r.URL.RawPath = os.Getenv("PATH_INFO"), "" // below the mount
		if r.URL.Path == "" {
			r.URL.Path = "/"
		}
		mux.ServeHTTP(w, r)
	}))
	if err != nil {
		log.Fatal(err)
	}
}

func list(w http.ResponseWriter, r *http.Request) error {
	entries, err := readEntries()
	if err != nil {
		return err
	}
	visitor := ""
	if cookie, err := r.Cookie("name"); err == nil {
		visitor, _ = url.QueryUnescape(cookie.Value)
	}
	return respond(w, r, http.StatusOK, map[string]any{"entries": entries},
		page{Title: "Guest book", Entries: entries, Form: true, Visitor: visitor})
}

func show(w http.ResponseWriter, r *http.Request) error {
	entries, err := readEntries()
	if err != nil {
		return err
	}
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil || id < 1 || id > len(entries) {
		return failure{http.StatusNotFound, "there is no entry " + r.PathValue("id")}
	}
	entry := entries[id-1]
	return respond(w, r, http.StatusOK, entry, page{Title: fmt.Sprint("Entry ", id), Entries: []Entry{entry}})
}

func sign(w http.ResponseWriter, r *http.Request) error {
	mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if mediaType != "application/x-www-form-urlencoded" {
		return failure{http.StatusUnsupportedMediaType, "send the form URL-encoded"}
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return failure{http.StatusRequestEntityTooLarge, "that is too much"}
		}
		return failure{http.StatusBadRequest, "this is no form: " + err.Error()}
	}
	name, message := field(r, "name"), field(r, "message")
	switch {
	case name == "" || message == "":
		return failure{http.StatusBadRequest, "name and message are both needed"}
	case utf8.RuneCountInString(name) > maxName:
		return failure{http.StatusBadRequest, fmt.Sprintf("the name is longer than %d characters", maxName)}
	case utf8.RuneCountInString(message) > maxMessage:
		return failure{http.StatusBadRequest, fmt.Sprintf("the message is longer than %d characters", maxMessage)}
	}
	if err := addEntry(name, message); err != nil {
		return err
	}
	http.SetCookie(w, &http.Cookie{
		Name: "name", Value: url.QueryEscape(name), Path: base, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	http.Redirect(w, r, base, http.StatusSeeOther)
	return nil
}

func field(r *http.Request, name string) string {
	return strings.TrimSpace(strings.ToValidUTF8(r.PostFormValue(name), "\uFFFD"))
}

func notFound(http.ResponseWriter, *http.Request) error {
	return failure{http.StatusNotFound, "there is nothing here"}
}

func methodNotAllowed(allow string) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Allow", allow)
		return failure{http.StatusMethodNotAllowed, "this can only be asked with " + allow}
	}
}

// handler is an http.HandlerFunc that leaves its errors to be answered here: a failure as it says, others as 500.
type handler func(http.ResponseWriter, *http.Request) error

// failure is an answer for whoever asked.
type failure struct {
	status int
	reason string
}

func (f failure) Error() string { return f.reason }

func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	err := h(w, r)
	if err == nil {
		return
	}
	var told failure
	if !errors.As(err, &told) {
		log.Print(err)
		told = failure{http.StatusInternalServerError, "the guest book is out of order"}
	}
	err = respond(w, r, told.status, map[string]string{"error": told.reason},
		page{Title: http.StatusText(told.status), Reason: told.reason})
	if err != nil {
		log.Print(err)
	}
}

// page is what page.html shows.
type page struct {
	Title   string
	Reason  string
	Entries []Entry
	Form    bool
	Visitor string
}

func (page) Base() string { return base }

// respond sends value as JSON to who wants that, and the page to everybody else.
func respond(w http.ResponseWriter, r *http.Request, status int, value any, p page) error {
	var body bytes.Buffer
	var err error
	contentType := "text/html; charset=utf-8"
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		contentType = "application/json"
		err = json.NewEncoder(&body).Encode(value)
	} else {
		err = pages.Execute(&body, p)
	}
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Vary", "Accept")
	w.WriteHeader(status)
	_, err = body.WriteTo(w)
	return err
}
