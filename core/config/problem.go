package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Severity tells what stops a file from being used from what is only odd.
type Severity uint8

// The severities. A file with errors gives no Generation; a file with warnings
// does.
const (
	SeverityError Severity = iota
	SeverityWarning
)

// String returns "error" or "warning".
func (s Severity) String() string {
	if s == SeverityWarning {
		return "warning"
	}
	return "error"
}

// MarshalText encodes what String returns.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Position is a place in a file. Line and Column count from 1, columns in
// characters; 0 means that the problem concerns the file as a whole.
type Position struct {
	File   string `json:"file"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

// String returns "file:line:column", or the file alone.
func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Problem is one thing wrong with a file. No field ever holds a secret.
type Problem struct {
	Severity Severity `json:"severity"`
	Position
	// Key is the whole path of the key: "virtual_server.web.real_server[0].weight",
	// list elements counted from 0; empty for the file as a whole.
	Key string `json:"key,omitempty"`
	// Message says what is wrong.
	Message string `json:"message"`
	// Expected says what would be right; empty when Message says it.
	Expected string `json:"expected,omitempty"`
	// Suggestion is what was probably meant, as it would be written in the
	// file, keys in quotes; empty when there is no good guess.
	Suggestion string `json:"suggestion,omitempty"`
}

// String returns the one line a person reads:
//
//	file:line:column: key: what is wrong; expected what; did you mean "that"?
//
// A warning has the word "warning" before the key.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.Position.String())
	b.WriteString(": ")
	if p.Severity == SeverityWarning {
		b.WriteString("warning: ")
	}
	if p.Key != "" {
		b.WriteString(p.Key)
		b.WriteString(": ")
	}
	b.WriteString(p.Message)
	if p.Expected != "" {
		b.WriteString("; expected ")
		b.WriteString(p.Expected)
	}
	if p.Suggestion != "" {
		b.WriteString("; did you mean ")
		b.WriteString(p.Suggestion)
		b.WriteString("?")
	}
	return b.String()
}

// Problems are the problems of one file in the order of their places.
type Problems []Problem

// HasErrors reports whether one of them is an error.
func (ps Problems) HasErrors() bool {
	return slices.ContainsFunc(ps, func(p Problem) bool { return p.Severity == SeverityError })
}

// Errors returns the errors among them.
func (ps Problems) Errors() Problems { return ps.of(SeverityError) }

// Warnings returns the warnings among them.
func (ps Problems) Warnings() Problems { return ps.of(SeverityWarning) }

func (ps Problems) of(s Severity) Problems {
	var found Problems
	for _, p := range ps {
		if p.Severity == s {
			found = append(found, p)
		}
	}
	return found
}

// Err returns the errors among them as one error, a line each, or nil.
func (ps Problems) Err() error {
	if found := ps.Errors(); len(found) > 0 {
		return errors.New(strings.TrimSuffix(found.String(), "\n"))
	}
	return nil
}

// String returns a line for each, every line ended.
func (ps Problems) String() string {
	var b strings.Builder
	for _, p := range ps {
		b.WriteString(p.String())
		b.WriteByte('\n')
	}
	return b.String()
}

// Sorted returns them in the order of their places, each once: servers that
// share a virtual server's check share its problems.
func (ps Problems) Sorted() Problems {
	sorted := slices.Clone(ps)
	slices.SortStableFunc(sorted, func(a, b Problem) int {
		return cmp.Or(
			cmp.Compare(a.File, b.File),
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Severity, b.Severity),
			cmp.Compare(a.Key, b.Key),
			cmp.Compare(a.Message, b.Message),
		)
	})
	return slices.Compact(sorted)
}
