package main

import (
	"errors"
	"io/fs"
	"net/url"
	"os"
	"strings"
)

// entriesFile has one entry a line, URL-encoded as in the form.
const entriesFile = "/data/entries"

// Entry is what somebody has left.
type Entry struct {
	ID      int    `json:"id"`
	Name    string `json:"name"`
	Message string `json:"message"`
}

// readEntries returns all entries, the oldest first.
func readEntries() ([]Entry, error) {
	content, err := os.ReadFile(entriesFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	entries := []Entry{}
	for line := range strings.Lines(string(content)) {
		values, err := url.ParseQuery(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return nil, err
		}
		entries = append(entries, Entry{len(entries) + 1, values.Get("name"), values.Get("message")})
	}
	return entries, nil
}

// addEntry appends with a single write, which other requests at the same moment cannot tear apart.
func addEntry(name, message string) error {
	file, err := os.OpenFile(entriesFile, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	line := url.Values{"name": {name}, "message": {message}}.Encode() + "\n"
	_, err = file.WriteString(line)
	return errors.Join(err, file.Close())
}
