package config

import (
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
)

// syntaxProblem words an error of the TOML library. The library quotes what it
// stumbled over, which may be a password without its quotes: nothing of its
// wording is passed on, only what kind of mistake it found and where.
func syntaxProblem(src *source, root *node, failed toml.ParseError) Problem {
	offset := min(max(failed.Position.Start, 0), len(src.text)) // The library has been seen to say -1.
	for offset < len(src.text) && (src.text[offset] == ' ' || src.text[offset] == '\t') {
		offset++
	}
	p := Problem{Key: failed.LastKey}
	scalar, path := root.innermost(offset, "")
	if scalar != nil {
		offset, p.Key = scalar.start, path
	}
	p.Position = src.position(offset)
	if scalar != nil && src.text[offset] != '"' && src.text[offset] != '\'' {
		p.Message, p.Expected = "is not a TOML value", anyValue
		if !isSecret(path) {
			p.Suggestion = requoted(src.text[scalar.start:scalar.end])
		}
		return p
	}
	p.Message, p.Expected = "this is not TOML", "key = value, [table] or # comment"
	for _, m := range syntaxMistakes() {
		if strings.Contains(failed.Message, m.library) {
			p.Message, p.Expected = m.message, m.expected
			break
		}
	}
	return p
}

// isSecret says whether a key's value is never repeated.
func isSecret(path string) bool {
	key, _, _ := strings.Cut(path[strings.LastIndexByte(path, '.')+1:], "[")
	return key == "password" || key == "secret"
}

const anyValue = `a string in quotes, a number, true, false, a list or a table`

// syntaxMistake is one kind of mistake by a part of the library's wording.
type syntaxMistake struct{ library, message, expected string }

func syntaxMistakes() []syntaxMistake {
	return []syntaxMistake{
		{"expected a top-level item to end", "something follows a value on its line", "one key on each line"},
		{"expected end of table", "a table's header does not end", `"]"`},
		{"to end table name", "a table's header does not end", `"]"`},
		{"table names cannot be empty", "a table's header has an empty name", "[table] or [table.name]"},
		{"expected value but found", "a value is missing", anyValue},
		{"EOF; expected value", "a value is missing", anyValue},
		{"expected key separator", "a key has no value", "key = value"},
		{"expected '.' or '='", "a key has no value", "key = value"},
		{"key name appears blank", "a value has no key", "key = value"},
		{"unexpected '='", "a value has no key", "key = value"},
		{"unexpected '.'", "a key has an empty part", "key = value"},
		{"unexpected comma", "a comma has nothing before it", "a value before each comma"},
		{"expected a comma", "a list or table does not go on or end", `"," or the closing bracket`},
		{"strings cannot contain newlines", "a string does not end on its line", "a closing quote"},
		{"unexpected EOF", "the file ends within a string, list or table", "a closing quote or bracket"},
		{"escape", "a string holds an unknown escape", `"\\" for a backslash, or a string in single quotes`},
		{"hexadecimal digits", "a string holds an unknown escape", `"\\" for a backslash, or a string in single quotes`},
		{"not valid UTF-8", "a string holds an escape that is no character", "a Unicode character"},
		{"control characters", "the file holds a control character", "text"},
		{"already", "is written twice", "each key once"},
	}
}

// requoted returns what was probably meant by a value without quotes, when it
// can be told: an affirmation, a duration, an address.
func requoted(raw string) string {
	if s := (booleans{}).suggestion(raw); s != "" {
		return s
	}
	if s := (durations{high: 1<<63 - 1}).suggestion(raw); s != "" {
		return s
	}
	if _, wrong := parsePrefix(raw); wrong == "" || brokenEndpoint(raw) == "" {
		return strconv.Quote(raw)
	}
	return ""
}
