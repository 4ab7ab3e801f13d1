package schema

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// outside says how a single value breaks the bounds, or "".
func (s *Setting) outside(v value) string {
	lo, hi, err := s.bounds()
	if err != nil {
		return err.Error()
	}
	if (lo != nil && less(v, lo)) || (hi != nil && less(hi, v)) {
		return "is out of range" + s.quote(format(v))
	}
	if text, ok := v.(string); ok && len(s.Enum) > 0 && !slices.Contains(s.Enum, text) {
		return "is not one of the allowed words" + s.quote(strconv.Quote(text))
	}
	return ""
}

func (s *Setting) outsideLength(n int) string {
	lo, hi, err := s.bounds()
	if err != nil {
		return err.Error()
	}
	if (lo != nil && int64(n) < lo.(int64)) || (hi != nil && int64(n) > hi.(int64)) {
		return fmt.Sprintf("has %d elements", n)
	}
	return ""
}

// bounds parses Min and Max in the type the value has; nil means unbounded.
func (s *Setting) bounds() (lo, hi value, err error) {
	if lo, err = s.bound(s.Min); err != nil {
		return nil, nil, fmt.Errorf("min %w", err)
	}
	if hi, err = s.bound(s.Max); err != nil {
		return nil, nil, fmt.Errorf("max %w", err)
	}
	return lo, hi, nil
}

func (s *Setting) bound(text string) (value, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // No bound is an answer.
	}
	var (
		v   value
		err error
	)
	switch s.Kind {
	case Int, Strings, Ints, Map:
		v, err = strconv.ParseInt(text, 10, 64)
	case Float:
		v, err = strconv.ParseFloat(text, 64)
	case Duration:
		v, err = time.ParseDuration(text)
	case Bool, String:
		return nil, fmt.Errorf("%q: a %s has no bounds", text, s.Kind)
	default:
		return nil, fmt.Errorf("%q: kind %q is not known", text, s.Kind)
	}
	if err != nil {
		return nil, fmt.Errorf("%q is not written as a bound of a %s", text, s.Kind)
	}
	return v, nil
}

// less compares two values of one kind; kinds without an order are never less.
func less(a, b value) bool {
	switch a := a.(type) {
	case int64:
		return a < b.(int64)
	case float64:
		return a < b.(float64)
	case time.Duration:
		return a < b.(time.Duration)
	}
	return false
}

// Expectation says in words what a value must be.
func (s *Setting) Expectation() string {
	if len(s.Enum) > 0 {
		quoted := make([]string, 0, len(s.Enum))
		for _, word := range s.Enum {
			quoted = append(quoted, strconv.Quote(word))
		}
		words := "one of " + strings.Join(quoted, ", ")
		if s.Kind == Strings {
			return "a list" + s.span(" of ", " elements") + ", each " + words
		}
		return words
	}
	switch s.Kind {
	case Bool:
		return "true or false"
	case Int:
		return "a whole number" + s.span(" ", "")
	case Float:
		return "a number" + s.span(" ", "")
	case String:
		return "a string"
	case Duration:
		return `a duration such as "1.5s"` + s.span(", ", "")
	case Strings:
		return "a list of strings" + s.span(", ", " elements")
	case Ints:
		return "a list of whole numbers" + s.span(", ", " elements")
	case Map:
		return "a table of strings" + s.span(", ", " entries")
	}
	return "a value of kind " + string(s.Kind)
}

func (s *Setting) span(before, after string) string {
	switch {
	case s.Min != "" && s.Max != "":
		return before + "from " + s.Min + " to " + s.Max + after
	case s.Min != "":
		return before + "of at least " + s.Min + after
	case s.Max != "":
		return before + "of at most " + s.Max + after
	}
	return ""
}
