package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// value is a setting's value in Go: bool, int64, float64, string,
// time.Duration, []string, []int64 or map[string]string, by its Kind.
type value any

// parse reads one value, which must be valid JSON, for a setting and holds it
// against the setting's bounds. Problems never repeat the value of a sensitive setting.
func (s *Setting) parse(raw json.RawMessage) (value, []Problem) {
	v, err := s.decode(raw)
	if err != nil {
		return nil, s.problems(s.Name, err.Error())
	}
	if list, ok := v.([]json.RawMessage); ok {
		return s.parseList(list)
	}
	if table, ok := v.(map[string]json.RawMessage); ok {
		return s.parseMap(table)
	}
	if problem := s.outside(v); problem != "" {
		return nil, s.problems(s.Name, problem)
	}
	return v, nil
}

func (s *Setting) problems(attribute, message string) []Problem {
	return []Problem{{Attribute: attribute, Message: message, Expected: s.Expectation()}}
}

// decode takes the JSON shape apart; lists and tables come back raw.
func (s *Setting) decode(raw json.RawMessage) (value, error) {
	raw = bytes.TrimSpace(raw)
	got := shapeOf(raw)
	want, known := shapes[s.Kind]
	switch {
	case !known:
		return nil, fmt.Errorf("has kind %q, which this version of halo does not know: upgrade halo or use an older plugin", s.Kind)
	case got != want:
		return nil, fmt.Errorf("is %s", got)
	}
	switch s.Kind {
	case Bool:
		return string(raw) == "true", nil
	case Int:
		return s.decodeInt(raw)
	case Float:
		f, err := strconv.ParseFloat(string(raw), 64)
		if err != nil {
			return nil, fmt.Errorf("is out of range%s", s.quote(string(raw)))
		}
		return f, nil
	case String, Duration:
		return s.decodeString(raw)
	case Strings, Ints:
		var list []json.RawMessage
		if err := json.Unmarshal(raw, &list); err != nil {
			return nil, fmt.Errorf("is not valid JSON: %w", err)
		}
		return list, nil
	case Map:
		var table map[string]json.RawMessage
		if err := json.Unmarshal(raw, &table); err != nil {
			return nil, fmt.Errorf("is not valid JSON: %w", err)
		}
		return table, nil
	}
	return nil, fmt.Errorf("has kind %q, which this version of halo does not know", s.Kind)
}

func (s *Setting) decodeInt(raw json.RawMessage) (value, error) {
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err == nil {
		return n, nil
	}
	if strings.ContainsAny(string(raw), ".eE") {
		return nil, fmt.Errorf("is not a whole number%s", s.quote(string(raw)))
	}
	return nil, fmt.Errorf("is out of range%s", s.quote(string(raw)))
}

func (s *Setting) decodeString(raw json.RawMessage) (value, error) {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return nil, fmt.Errorf("is not valid JSON: %w", err)
	}
	if s.Kind == String {
		return text, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return nil, fmt.Errorf("is not a duration%s", s.quote(strconv.Quote(text)))
	}
	return d, nil
}

func (s *Setting) parseList(list []json.RawMessage) (value, []Problem) {
	element := Setting{Kind: String, Enum: s.Enum, Sensitive: s.Sensitive}
	if s.Kind == Ints {
		element.Kind = Int
	}
	var problems []Problem
	if message := s.outsideLength(len(list)); message != "" {
		problems = s.problems(s.Name, message)
	}
	texts, numbers := make([]string, 0, len(list)), make([]int64, 0, len(list))
	for i, raw := range list {
		element.Name = fmt.Sprintf("%s[%d]", s.Name, i)
		v, bad := element.parse(raw)
		problems = append(problems, bad...)
		switch v := v.(type) {
		case string:
			texts = append(texts, v)
		case int64:
			numbers = append(numbers, v)
		}
	}
	if len(problems) > 0 {
		return nil, problems
	}
	if s.Kind == Ints {
		return numbers, nil
	}
	return texts, nil
}

func (s *Setting) parseMap(table map[string]json.RawMessage) (value, []Problem) {
	element := Setting{Kind: String, Sensitive: s.Sensitive}
	var problems []Problem
	if message := s.outsideLength(len(table)); message != "" {
		problems = s.problems(s.Name, message)
	}
	texts := make(map[string]string, len(table))
	for _, key := range slices.Sorted(maps.Keys(table)) {
		element.Name = s.Name + "." + key
		v, bad := element.parse(table[key])
		problems = append(problems, bad...)
		if text, ok := v.(string); ok {
			texts[key] = text
		}
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return texts, nil
}

func format(v value) string {
	switch v := v.(type) {
	case string:
		return strconv.Quote(v)
	case time.Duration:
		return strconv.Quote(v.String())
	}
	return fmt.Sprint(v)
}

// quote shows the offending value unless it is a secret, cut to what fits a line.
func (s *Setting) quote(text string) string {
	if s.Sensitive {
		return ""
	}
	const most = 64
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return ": " + text
}

const (
	shapeBool   = "true or false"
	shapeNumber = "a number"
	shapeString = "a string"
	shapeList   = "a list"
	shapeTable  = "a table"
	shapeNull   = "null"
	shapeBroken = "not valid JSON"
)

// isJSON also asks for valid UTF-8, which encoding/json would silently repair.
func isJSON(raw []byte) bool { return json.Valid(raw) && utf8.Valid(raw) }

// shapeOf names a valid JSON value as a writer of TOML would.
func shapeOf(raw []byte) string {
	if len(raw) == 0 {
		return shapeBroken
	}
	switch raw[0] {
	case 't', 'f':
		return shapeBool
	case '"':
		return shapeString
	case '[':
		return shapeList
	case '{':
		return shapeTable
	case 'n':
		return shapeNull
	}
	return shapeNumber
}

// shapes is the JSON shape each kind is written in.
var shapes = map[ValueKind]string{ //nolint:gochecknoglobals // A constant table.
	Bool: shapeBool, Int: shapeNumber, Float: shapeNumber, String: shapeString,
	Duration: shapeString, Strings: shapeList, Ints: shapeList, Map: shapeTable,
}
