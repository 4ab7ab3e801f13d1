package schema

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What a schema may measure. A plugin is not trusted: what it says of itself
// ends in tables on a terminal and in the memory of the core.
const (
	maxName     = 64
	maxDoc      = 4096
	maxTypes    = 64
	maxSettings = 128
	maxEnum     = 128
	maxText     = 1024
)

// Reserved lists the keys that stand in the same table as a type's settings
// and belong to halo itself: no setting may have such a name.
func Reserved(kind Kind) []string {
	switch kind {
	case KindCheck:
		return []string{
			"type", "name", "interval", "timeout", "retry_interval", "rise", "fall",
			"connect_address", "connect_port", "bind", "user", "netns",
		}
	case KindTrack:
		return []string{
			"type", "name", "interval", "timeout", "retry_interval", "rise", "fall",
			"weight", "reverse", "init_fail", "user", "netns",
		}
	case KindNotify:
		return []string{"type", "name", "timeout", "on", "user", "netns"}
	}
	return nil
}

// CheckPlugin says what is wrong with what a plugin says of itself: names,
// kinds, sizes, and every type's settings. No problem means that the core can
// rely on the rest of this package.
func CheckPlugin(p Plugin) []Problem {
	var problems []Problem
	add := func(attribute, expected, format string, args ...any) {
		problems = append(problems, Problem{Attribute: attribute, Message: fmt.Sprintf(format, args...), Expected: expected})
	}
	if !isName(p.Name, '-') || !strings.HasPrefix(p.Name, "halo-") {
		add("name", `"halo-<kind>-<name>" of a-z, 0-9 and -`, "is %s", brief(p.Name))
	}
	if p.Version == "" || !isText(p.Version, maxName) {
		add("version", "a short text", "is %s", brief(p.Version))
	}
	if !isText(p.SDK, maxName) {
		add("sdk", "a short text", "is %s", brief(p.SDK))
	}
	if len(p.Protocols) == 0 || len(p.Protocols) > maxTypes {
		add("protocols", "the protocol versions it speaks", "has %d elements", len(p.Protocols))
	}
	if len(p.Types) == 0 || len(p.Types) > maxTypes {
		add("types", fmt.Sprintf("1 to %d types", maxTypes), "has %d elements", len(p.Types))
		return problems
	}
	seen := map[string]bool{}
	for _, t := range p.Types {
		where := "types." + brief(t.Name)
		if key := string(t.Kind) + " " + t.Name; seen[key] {
			add(where, "", "is given twice")
		} else {
			seen[key] = true
		}
		for _, problem := range CheckType(t) {
			problem.Attribute = strings.TrimSuffix(where+"."+problem.Attribute, ".")
			problems = append(problems, problem)
		}
	}
	return problems
}

// CheckType says what is wrong with one type.
func CheckType(t Type) []Problem {
	var problems []Problem
	if !isName(t.Name, '_') {
		problems = append(problems, Problem{Attribute: "name", Message: "is " + brief(t.Name), Expected: "a word of a-z, 0-9 and _"})
	}
	switch t.Kind {
	case KindCheck, KindTrack, KindNotify:
	default:
		problems = append(problems, Problem{
			Attribute: "kind", Message: "is " + brief(string(t.Kind)) + ", which this version of halo does not know",
			Expected: `"check", "track" or "notify"`,
		})
	}
	if !isText(t.Doc, maxDoc) {
		problems = append(problems, Problem{Attribute: "doc", Message: "is too long or not printable"})
	}
	if len(t.Settings) > maxSettings {
		return append(problems, Problem{
			Attribute: "settings", Message: fmt.Sprintf("has %d elements", len(t.Settings)),
			Expected: fmt.Sprintf("at most %d", maxSettings),
		})
	}
	reserved := Reserved(t.Kind)
	seen := map[string]bool{}
	for i := range t.Settings {
		s := &t.Settings[i]
		switch {
		case seen[s.Name]:
			problems = append(problems, Problem{Attribute: s.Name, Message: "is given twice"})
		case slices.Contains(reserved, s.Name):
			problems = append(problems, Problem{Attribute: s.Name, Message: "is a key of halo itself"})
		}
		seen[s.Name] = true
		problems = append(problems, checkSetting(s)...)
	}
	return problems
}

// checkSetting holds a setting against itself: its default must pass its own
// bounds.
func checkSetting(s *Setting) []Problem {
	var problems []Problem
	add := func(format string, args ...any) {
		problems = append(problems, Problem{Attribute: brief(s.Name), Message: fmt.Sprintf(format, args...)})
	}
	if !isName(s.Name, '_') {
		add("is not a word of a-z, 0-9 and _")
	}
	if !isText(s.Doc, maxDoc) {
		add("has a doc that is too long or not printable")
	}
	if s.Capability != "" && !isName(s.Capability, '_') {
		add("has a capability that is not a word of a-z, 0-9 and _")
	}
	if _, known := shapes[s.Kind]; !known {
		add("has kind %s, which this version of halo does not know", brief(string(s.Kind)))
		return problems
	}
	if !isText(s.Min, maxName) || !isText(s.Max, maxName) || len(s.Default) > maxText {
		add("has bounds or a default that are too long")
		return problems
	}
	lo, hi, err := s.bounds()
	if err != nil {
		add("has a wrong bound: %v", err)
		return problems
	}
	if lo != nil && hi != nil && less(hi, lo) {
		add("has min %s above max %s", s.Min, s.Max)
	}
	problems = append(problems, checkEnum(s)...)
	if s.Default == "" {
		return problems
	}
	if s.Required {
		add("is required and has a default")
	}
	for _, p := range defaultProblems(s) {
		add("has a default that %s", p.Message)
	}
	return problems
}

func defaultProblems(s *Setting) []Problem {
	if !isJSON([]byte(s.Default)) {
		return []Problem{{Attribute: s.Name, Message: "is " + shapeBroken}}
	}
	_, problems := s.parse(json.RawMessage(s.Default))
	return problems
}

func checkEnum(s *Setting) []Problem {
	if len(s.Enum) == 0 {
		return nil
	}
	if s.Kind != String && s.Kind != Strings {
		return []Problem{{Attribute: s.Name, Message: fmt.Sprintf("has an enum, which a %s cannot have", s.Kind)}}
	}
	if len(s.Enum) > maxEnum {
		return []Problem{{Attribute: s.Name, Message: fmt.Sprintf("has an enum of %d words", len(s.Enum))}}
	}
	for i, word := range s.Enum {
		if word == "" || !isText(word, maxName) || slices.Contains(s.Enum[:i], word) {
			return []Problem{{Attribute: s.Name, Message: "has an enum with an empty, doubled or unprintable word"}}
		}
	}
	return nil
}

// isName accepts a lower-case letter followed by letters, digits and sep.
func isName(name string, sep byte) bool {
	if name == "" || len(name) > maxName || name[0] < 'a' || name[0] > 'z' {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != sep {
			return false
		}
	}
	return true
}

// isText accepts what may go to a terminal: valid UTF-8 without control
// characters but line feeds, so that a description cannot move the cursor.
func isText(text string, most int) bool {
	if len(text) > most || !utf8.ValidString(text) {
		return false
	}
	return !strings.ContainsFunc(text, func(r rune) bool {
		return r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r))
	})
}

// brief quotes a name for a message, cut and escaped.
func brief(name string) string {
	if isName(name, '-') || isName(name, '_') {
		return name
	}
	if len(name) > maxName {
		name = name[:maxName] + "..."
	}
	return fmt.Sprintf("%q", name)
}
