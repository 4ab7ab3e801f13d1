package schema

import (
	"fmt"
	"strings"
)

// Problem is one thing wrong with a table of settings, or with a schema. The
// caller knows the file and the line; this package knows only the key.
type Problem struct {
	// Attribute is the setting's key, with "[2]" or ".key" behind it for an
	// element of a list or a table; empty means the whole.
	Attribute string
	// Message says what is wrong, to be read behind the key: "is missing".
	Message string
	// Expected says what would be right; empty when the message says it all.
	Expected string
	// Suggestion is the known key or word that was probably meant; empty
	// means none comes near.
	Suggestion string
}

// String puts the parts into one sentence.
func (p Problem) String() string {
	var b strings.Builder
	if p.Attribute != "" {
		b.WriteString(p.Attribute)
		b.WriteByte(' ')
	}
	b.WriteString(p.Message)
	if p.Expected != "" {
		b.WriteString(" (expected ")
		b.WriteString(p.Expected)
		b.WriteByte(')')
	}
	if p.Suggestion != "" {
		b.WriteString("; did you mean ")
		b.WriteString(p.Suggestion)
		b.WriteByte('?')
	}
	return b.String()
}

// SettingsError carries every problem of one table of settings, never only the
// first.
type SettingsError struct {
	Problems []Problem
}

// Error lists the problems, separated by semicolons.
func (e *SettingsError) Error() string {
	parts := make([]string, 0, len(e.Problems))
	for _, p := range e.Problems {
		parts = append(parts, p.String())
	}
	return "settings: " + strings.Join(parts, "; ")
}

// Invalid is the error a build function returns to blame one setting for what
// only the plugin can know: a pattern that does not compile, a digest of the
// wrong length. expected may be empty.
func Invalid(attribute, expected, format string, args ...any) error {
	return &SettingsError{Problems: []Problem{{
		Attribute: attribute,
		Message:   fmt.Sprintf(format, args...),
		Expected:  expected,
	}}}
}

// Nearest returns the word of known that word was probably meant to be, or "".
// It allows one mistake in short words and one in three letters of long ones;
// a swap of neighbours is one mistake.
func Nearest(word string, known []string) string {
	best, bestDistance := "", max(1, len(word)/3)+1
	if len(word) > maxName {
		return ""
	}
	for _, k := range known {
		if len(k) > maxName {
			continue
		}
		if d := distance(word, k); d < bestDistance {
			best, bestDistance = k, d
		}
	}
	return best
}

// distance counts insertions, deletions, replacements and swaps of neighbours
// (optimal string alignment) in bytes: the words compared are keys.
func distance(a, b string) int {
	before := make([]int, len(b)+1)
	row := make([]int, len(b)+1)
	next := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row, next = row, next, before
	}
	return row[len(b)]
}
