package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Validate holds a table of settings, a JSON object, against a type. It
// returns every problem: an unknown key, a missing required one, a wrong kind
// of value, a value out of range. Empty settings are an empty object. The keys
// of halo itself (interval, timeout, ...) must have been taken out before.
func Validate(settings json.RawMessage, t Type) []Problem {
	_, problems := parseTable(settings, t.Settings)
	return problems
}

// Setting finds a setting by its key.
func (t *Type) Setting(name string) (Setting, bool) {
	for _, s := range t.Settings {
		if s.Name == name {
			return s, true
		}
	}
	return Setting{}, false
}

// Names lists the keys in the order the plugin gave them.
func (t *Type) Names() []string { return names(t.Settings) }

func names(settings []Setting) []string {
	all := make([]string, 0, len(settings))
	for i := range settings {
		all = append(all, settings[i].Name)
	}
	return all
}

// Capabilities lists what the used settings need, once each, in the order of
// the schema. A setting is used when its key is written, whatever its value.
func (t *Type) Capabilities(settings json.RawMessage) []string {
	entries, problems := splitObject(settings)
	if len(problems) > 0 {
		return nil
	}
	var needed []string
	seen := map[string]bool{}
	for i := range t.Settings {
		s := &t.Settings[i]
		for _, e := range entries {
			if e.key == s.Name && s.Capability != "" && !seen[s.Capability] {
				seen[s.Capability] = true
				needed = append(needed, s.Capability)
			}
		}
	}
	return needed
}

// parseTable returns the values of the keys that are written, by name.
func parseTable(raw json.RawMessage, settings []Setting) (map[string]value, []Problem) {
	entries, problems := splitObject(raw)
	if len(problems) > 0 {
		return nil, problems // What is missing in something that is no table helps nobody.
	}
	values := make(map[string]value, len(entries))
	written := make(map[string]bool, len(entries))
	for _, e := range entries {
		i := indexOf(settings, e.key)
		switch {
		case i < 0:
			problems = append(problems, Problem{
				Attribute: e.key, Message: "is not known",
				Expected:   expectedKeys(settings),
				Suggestion: Nearest(e.key, names(settings)),
			})
			continue
		case written[e.key]:
			problems = append(problems, Problem{Attribute: e.key, Message: "is given twice"})
			continue
		}
		written[e.key] = true
		v, bad := settings[i].parse(e.raw)
		problems = append(problems, bad...)
		if len(bad) == 0 {
			values[e.key] = v
		}
	}
	for i := range settings {
		s := &settings[i]
		if s.Required && !written[s.Name] {
			problems = append(problems, Problem{
				Attribute: s.Name, Message: "is missing", Expected: s.Expectation(),
			})
		}
	}
	return values, problems
}

func indexOf(settings []Setting, name string) int {
	for i := range settings {
		if settings[i].Name == name {
			return i
		}
	}
	return -1
}

func expectedKeys(settings []Setting) string {
	if len(settings) == 0 {
		return "no settings at all"
	}
	var b bytes.Buffer
	b.WriteString("one of")
	for i := range settings {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte(' ')
		b.WriteString(settings[i].Name)
	}
	return b.String()
}

type entry struct {
	key string
	raw json.RawMessage
}

// splitObject reads the keys in their order and keeps doubles, which
// json.Unmarshal into a map would swallow.
func splitObject(raw json.RawMessage) ([]entry, []Problem) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return nil, nil
	}
	// The one place where all of it is checked.
	if !isJSON(raw) {
		return nil, []Problem{{Message: "settings are " + shapeBroken, Expected: shapeTable}}
	}
	if got := shapeOf(raw); got != shapeTable {
		return nil, []Problem{{Message: "settings are " + got, Expected: shapeTable}}
	}
	entries, err := readEntries(json.NewDecoder(bytes.NewReader(raw)))
	if err != nil {
		return nil, []Problem{{Message: fmt.Sprintf("settings are not valid JSON: %v", err), Expected: shapeTable}}
	}
	return entries, nil
}

func readEntries(d *json.Decoder) ([]entry, error) {
	if _, err := d.Token(); err != nil { // The opening brace.
		return nil, err
	}
	var entries []entry
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		key, ok := token.(string)
		if !ok {
			return nil, errors.New("a key is not a string")
		}
		var e entry
		if err := d.Decode(&e.raw); err != nil {
			return nil, err
		}
		e.key = key
		entries = append(entries, e)
	}
	if _, err := d.Token(); err != nil { // The closing brace.
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the table")
	}
	return entries, nil
}
