// A CGI program: net/http/cgi makes a request of the environment and of stdin, and an ordinary http.Handler answers it.
package main

import (
	"cmp"
	"html/template"
	"log"
	"net/http"
	"net/http/cgi"
)

var page = template.Must(template.New("page").Parse(`<!doctype html>
<title>{{.}}</title>
<h1>Hello, {{.}}!</h1>
<form>Who are you? <input name="name"> <button>Greet me</button></form>
`))

func main() {
	if err := cgi.Serve(http.HandlerFunc(greet)); err != nil {
		log.Fatal(err)
	}
}

func greet(w http.ResponseWriter, r *http.Request) {
	name := cmp.Or(r.URL.Query().Get("name"), "World")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if err := page.Execute(w, name); err != nil {
		log.Print(err)
	}
}
