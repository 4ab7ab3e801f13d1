package pluginhost

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// What is kept of a plugin's stderr for the person who asks why it died.
const (
	keptLines   = 20
	keptPerLine = 512 // bytes
)

// lastWords holds the end of what one process wrote to stderr. Safe for
// concurrent use.
type lastWords struct {
	guard sync.Mutex
	lines []string
	// cause is the first line of a Go panic or fatal error, which twenty lines
	// of stack would otherwise push out.
	cause string
	// complaint is the last line that is not an ordinary entry of a log.
	complaint string
}

// crash is how the Go runtime begins when it ends a program.
var crash = regexp.MustCompile(`^(panic|fatal error|runtime|SIG[A-Z]+): `)

// add keeps a line. It reports whether it belongs to the report of a crash,
// behind the first line of it.
func (w *lastWords) add(e entry) (trace bool) {
	if e.text == "" {
		return false
	}
	line := shorten(e.text, keptPerLine)
	w.guard.Lock()
	defer w.guard.Unlock()
	trace = w.cause != "" && e.plain
	if w.cause == "" && e.plain && crash.MatchString(line) {
		w.cause = line
	}
	if e.plain || e.level >= slog.LevelWarn {
		w.complaint = line
	}
	if len(w.lines) == keptLines {
		w.lines = append(w.lines[:0], w.lines[1:]...)
	}
	w.lines = append(w.lines, line)
	return trace
}

// all returns the lines, oldest first.
func (w *lastWords) all() []string {
	w.guard.Lock()
	defer w.guard.Unlock()
	return append([]string(nil), w.lines...)
}

// summary is the one line that most likely tells why the process died; empty
// when it complained about nothing.
func (w *lastWords) summary() string {
	w.guard.Lock()
	defer w.guard.Unlock()
	if w.cause != "" {
		return w.cause
	}
	return w.complaint
}

// withLastWords adds to err what the process said last.
func withLastWords(err error, words *lastWords) error {
	if last := words.summary(); last != "" {
		return fmt.Errorf("%w: %s", err, last)
	}
	return err
}

// entry is one line of a plugin's log.
type entry struct {
	level slog.Level
	text  string
	// plain says that it was not in a log's form.
	plain bool
}

// parseEntry reads a line of stderr: JSON as slog or hclog write it, else
// plain text. Everything is made printable, since it ends up in logs and on
// terminals and its author may be anybody.
func parseEntry(line []byte) entry {
	line = bytes.TrimSpace(line)
	if len(line) == 0 || line[0] != '{' {
		return entry{level: slog.LevelInfo, text: printable(string(line)), plain: true}
	}
	var fields map[string]any
	if json.Unmarshal(line, &fields) != nil {
		return entry{level: slog.LevelInfo, text: printable(string(line)), plain: true}
	}
	e := entry{level: slog.LevelInfo}
	for _, key := range []string{"msg", "@message"} {
		if text, ok := fields[key].(string); ok {
			e.text = text
			delete(fields, key)
		}
	}
	for _, key := range []string{"level", "@level"} {
		if name, ok := fields[key].(string); ok {
			e.level = parseLevel(name)
			delete(fields, key)
		}
	}
	for _, key := range []string{"time", "@timestamp", "@module", "@caller"} {
		delete(fields, key)
	}
	if e.text == "" {
		return entry{level: e.level, text: printable(string(line)), plain: true}
	}
	if len(fields) > 0 {
		// Map keys are marshalled in order, so equal entries read the same.
		if rest, err := json.Marshal(fields); err == nil {
			e.text += " " + string(rest)
		}
	}
	e.text = printable(e.text)
	return e
}

func parseLevel(name string) slog.Level {
	switch strings.ToLower(name) {
	case "trace", "debug":
		return slog.LevelDebug
	case "warn", "warning":
		return slog.LevelWarn
	case "error":
		return slog.LevelError
	}
	return slog.LevelInfo
}

// shorten cuts s after limit bytes, and shows that it did.
func shorten(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}

// printable replaces what could forge log lines or drive a terminal.
func printable(s string) string {
	clean := func(r rune) bool { return r == utf8.RuneError || r != '\t' && !unicode.IsPrint(r) }
	if strings.IndexFunc(s, clean) < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		if clean(r) {
			return '·'
		}
		return r
	}, s)
}
