package config

import (
	"fmt"
	"strings"
)

// reader reads one file into a Generation. It collects problems and never
// stops at one: what is wrong gets a usable value in its place, so that the
// rest is judged too.
type reader struct {
	source    *source
	catalogue Catalogue
	machine   machine
	problems  Problems
	origins   map[*Check]origin
	tracked   map[string]*Tracker
	// record, when set, is told every key that is asked for. Keys reads the
	// tables of halo.toml this way, so that a list of keys cannot drift from
	// the code that reads them.
	record func(Key)
}

// Key describes one key of halo.toml.
type Key struct {
	// Path is the key with NAME for a name that the user chooses and [] behind
	// a list of tables: "virtual_server.NAME.real_server[].weight".
	Path string
	// Expected says what values it takes: "an integer from 1 to 255".
	Expected string
	// Default is what its absence means, as it would be written in the file;
	// empty when absence is a meaning of its own, such as off, and when the
	// default depends on the machine.
	Default  string
	Required bool
}

// report adds a problem that begins at offset.
func (r *reader) report(severity Severity, offset int, p Problem) {
	p.Severity = severity
	p.Position = r.source.position(offset)
	r.problems = append(r.problems, p)
}

// value is one value of the file on its way through a form.
type value struct {
	reader *reader
	path   string
	node   *node
	// secret values are never repeated in a problem.
	secret bool
}

// wrong reports an error of the value.
func (v value) wrong(message, expected, suggestion string) {
	if v.secret {
		suggestion = ""
	}
	v.reader.report(SeverityError, v.node.start, Problem{Key: v.path, Message: message, Expected: expected, Suggestion: suggestion})
}

// wrongType reports that the value is not of the kind that form takes.
func (v value) wrongType(expected, suggestion string) {
	v.wrong("is "+v.kind(), expected, suggestion)
}

// kind names the kind of the value as a writer of TOML would.
func (v value) kind() string {
	switch v.node.shape {
	case list:
		return "a list"
	case dictionary:
		return "a table"
	case scalar:
	}
	switch v.node.value.(type) {
	case string:
		return "a string"
	case int64:
		return "an integer"
	case float64:
		return "a number with a fraction"
	case bool:
		return "true or false"
	default:
		return "a date or time"
	}
}

// show repeats the value in a message, or says only "the value" of a secret.
func (v value) show() string {
	if v.secret || v.node.shape != scalar {
		return "the value"
	}
	switch scalar := v.node.value.(type) {
	case string:
		return quoted(scalar)
	default:
		return fmt.Sprint(scalar)
	}
}

// quoted quotes text for a message, cut to what fits a line.
func quoted(text string) string {
	const most = 64
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return fmt.Sprintf("%q", text)
}
