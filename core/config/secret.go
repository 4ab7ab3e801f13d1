package config

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
)

// redacted stands wherever a secret would have been printed.
const redacted = "[redacted]"

// Secret is a word that is used and never shown: every way of printing it
// gives "[redacted]". Reveal is the only way to the word itself, so that a
// search for it finds every place that reads one.
//
// The zero value is an empty secret. Compare with Equal: == compares places.
type Secret struct {
	// word is a pointer because fmt prints the fields of a struct it reaches
	// through an unexported field without asking their methods; of a pointer
	// at that depth it prints the address.
	word *string
}

// NewSecret wraps word.
func NewSecret(word string) Secret { return Secret{word: &word} }

// Reveal returns the word itself. What it returns must not be logged.
func (s Secret) Reveal() string {
	if s.word == nil {
		return ""
	}
	return *s.word
}

// Equal reports whether both hold the same word.
func (s Secret) Equal(other Secret) bool { return s.Reveal() == other.Reveal() }

// String returns "[redacted]", or nothing for an empty secret.
func (s Secret) String() string {
	if s.Reveal() == "" {
		return ""
	}
	return redacted
}

// Format prints what String returns for every verb, %#v and %x included.
func (s Secret) Format(state fmt.State, _ rune) { writeString(state, s.String()) }

// MarshalText encodes what String returns; encoding/json uses it too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue logs what String returns.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Environment holds environment variables for a plugin. Their names are shown
// and their values, which often are credentials, are not.
type Environment map[string]string

// String lists the names, sorted, each with its value redacted.
func (e Environment) String() string {
	words := make([]string, 0, len(e))
	for _, name := range slices.Sorted(maps.Keys(e)) {
		words = append(words, name+"="+redacted)
	}
	return strings.Join(words, " ")
}

// Format prints what String returns for every verb.
func (e Environment) Format(state fmt.State, _ rune) { writeString(state, e.String()) }

// MarshalJSON encodes the names with redacted values.
func (e Environment) MarshalJSON() ([]byte, error) {
	shown := make(map[string]string, len(e))
	for name := range e {
		shown[name] = redacted
	}
	return json.Marshal(shown)
}

// LogValue logs what String returns.
func (e Environment) LogValue() slog.Value { return slog.StringValue(e.String()) }

// String names the file and counts what it holds.
func (g Generation) String() string {
	return fmt.Sprintf("%s (%d instances, %d virtual servers)", g.File, len(g.Instances), len(g.VirtualServers))
}

// Format prints what String returns for every verb: a generation keeps the
// text of its file, passwords included, to tell places in it.
func (g Generation) Format(state fmt.State, _ rune) { writeString(state, g.String()) }

// LogValue logs what String returns.
func (g Generation) LogValue() slog.Value { return slog.StringValue(g.String()) }

// String names the plugin with its settings, the values of variables redacted.
func (p Plugin) String() string {
	return fmt.Sprintf("%s (on_plugin_loss %s, plugin_grace %s, sha256 %q, capabilities %v, env %s)",
		p.Name, p.OnPluginLoss, p.PluginGrace, p.SHA256, p.Capabilities, p.Env)
}

// Format prints what String returns for every verb. It stands here, and not on
// Environment alone, because fmt asks no methods of what lies behind a pointer
// that a verb does not fit.
func (p Plugin) Format(state fmt.State, _ rune) { writeString(state, p.String()) }

// writeString writes to a fmt.State, which keeps its error to itself.
func writeString(state fmt.State, text string) { _, _ = io.WriteString(state, text) }
