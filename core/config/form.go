package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// form is what a key takes: it reads a value, or reports what is wrong with
// it, and says in words what would be right.
type form[T any] interface {
	read(v value) (T, bool)
	expected() string
}

// integers takes a whole number within bounds.
type integers[T int | int64 | uint8 | uint16 | uint32] struct{ low, high T }

func (f integers[T]) expected() string {
	if f.high == f.low+1 {
		return fmt.Sprintf("%d or %d", f.low, f.high)
	}
	return fmt.Sprintf("an integer from %d to %d", f.low, f.high)
}

func (f integers[T]) read(v value) (T, bool) {
	number, ok := v.node.value.(int64)
	switch {
	case !ok:
		v.wrongType(f.expected(), f.suggestion(v.node.value))
		return 0, false
	case number < int64(f.low) || number > int64(f.high):
		v.wrong(v.show()+" is out of range", f.expected(), "")
		return 0, false
	}
	return T(number), true
}

// suggestion guesses the number meant by a string or a fraction.
func (f integers[T]) suggestion(wrong any) string {
	var number int64
	switch wrong := wrong.(type) {
	case string:
		var err error
		if number, err = strconv.ParseInt(strings.TrimSpace(wrong), 10, 64); err != nil {
			return ""
		}
	case float64:
		number = int64(wrong)
		if float64(number) != wrong {
			return ""
		}
	default:
		return ""
	}
	if number < int64(f.low) || number > int64(f.high) {
		return ""
	}
	return strconv.FormatInt(number, 10)
}

// booleans takes true or false.
type booleans struct{}

func (booleans) expected() string { return "true or false" }

func (f booleans) read(v value) (bool, bool) {
	truth, ok := v.node.value.(bool)
	if !ok {
		v.wrongType(f.expected(), f.suggestion(v.node.value))
	}
	return truth, ok
}

func (booleans) suggestion(wrong any) string {
	switch strings.ToLower(fmt.Sprint(wrong)) {
	case "yes", "on", "1", "true":
		return "true"
	case "no", "off", "0", "false":
		return "false"
	}
	return ""
}

// words takes one word of a list. Words of the planned list are known to be
// halo's and are told apart from slips.
type words struct {
	allowed []string
	planned []string
	// what is said to be expected, where the list is too long to be told.
	what string
}

func (f words) expected() string {
	if f.what != "" {
		return f.what
	}
	return listed(f.allowed)
}

func (f words) read(v value) (string, bool) {
	word, ok := v.node.value.(string)
	switch {
	case !ok:
		v.wrongType(f.expected(), "")
	case slices.Contains(f.allowed, word):
		return word, true
	case slices.Contains(f.planned, strings.ToLower(word)):
		v.wrong(v.show()+" is not supported yet by this version", f.expected(), "")
	default:
		v.wrong(v.show()+" is not a word that this key takes", f.expected(), suggest(word, f.allowed))
	}
	return "", false
}

// text takes a string that passes test, which returns what is wrong with it.
type text struct {
	what string
	test func(string) string
}

func (f text) expected() string { return f.what }

func (f text) read(v value) (string, bool) {
	word, ok := v.node.value.(string)
	if !ok {
		v.wrongType(f.what, "")
		return "", false
	}
	if wrong := f.test(word); wrong != "" {
		v.wrong(v.show()+" "+wrong, f.what, "")
		return "", false
	}
	return word, true
}

// durations takes a length of time within bounds, in steps when step is set.
type durations struct {
	low, high, step time.Duration
	// note is added to what is expected.
	note string
}

func (f durations) expected() string {
	var b strings.Builder
	fmt.Fprintf(&b, "a duration from %q to %q", spell(f.low), spell(f.high))
	switch f.step {
	case 0:
	case time.Second:
		b.WriteString(" in whole seconds")
	default:
		fmt.Fprintf(&b, " in steps of %q", spell(f.step))
	}
	b.WriteString(f.note)
	return b.String()
}

func (f durations) read(v value) (time.Duration, bool) {
	word, ok := v.node.value.(string)
	if !ok {
		v.wrongType(f.expected(), f.suggestion(fmt.Sprint(v.node.value)))
		return 0, false
	}
	d, err := time.ParseDuration(word)
	switch {
	case err != nil && isNumber(word):
		v.wrong(v.show()+" has no unit", f.expected(), f.suggestion(word))
	case err != nil:
		v.wrong(v.show()+" is not a duration", f.expected(), f.suggestion(word))
	case d < f.low || d > f.high:
		v.wrong(v.show()+" is out of range", f.expected(), "")
	case f.step > 0 && d%f.step != 0:
		v.wrong(v.show()+" is not a multiple of "+spell(f.step), f.expected(), "")
	default:
		return d, true
	}
	return 0, false
}

// suggestion guesses the duration meant by a number without unit, which is
// taken for seconds, or by the long form of a unit.
func (f durations) suggestion(wrong string) string {
	folded := strings.ToLower(strings.Join(strings.Fields(wrong), ""))
	if isNumber(folded) {
		folded += "s"
	}
	for _, unit := range [][2]string{
		{"milliseconds", "ms"},
		{"millisecond", "ms"},
		{"msec", "ms"},
		{"seconds", "s"},
		{"second", "s"},
		{"secs", "s"},
		{"sec", "s"},
		{"minutes", "m"},
		{"minute", "m"},
		{"min", "m"},
		{"hours", "h"},
		{"hour", "h"},
	} {
		if number, ok := strings.CutSuffix(folded, unit[0]); ok && isNumber(number) {
			folded = number + unit[1]
			break
		}
	}
	if number, ok := strings.CutSuffix(folded, "d"); ok && isNumber(number) {
		if days, err := strconv.Atoi(number); err == nil {
			folded = strconv.Itoa(24*days) + "h"
		}
	}
	d, err := time.ParseDuration(folded)
	if err != nil || d < f.low || d > f.high || f.step > 0 && d%f.step != 0 {
		return ""
	}
	return strconv.Quote(folded)
}

func isNumber(word string) bool {
	_, err := strconv.ParseFloat(word, 64)
	return err == nil
}

// spell writes a duration as a person would: "1m" for "1m0s", "90s" for "1m30s".
func spell(d time.Duration) string {
	if d%time.Second == 0 && d%time.Minute != 0 {
		return strconv.FormatInt(int64(d/time.Second), 10) + "s"
	}
	word := d.String()
	if strings.HasSuffix(word, "m0s") {
		word = strings.TrimSuffix(word, "0s")
	}
	if strings.HasSuffix(word, "h0m") {
		word = strings.TrimSuffix(word, "0m")
	}
	return word
}

// lists takes a list of low to high elements, each of a form, none twice.
type lists[T comparable] struct {
	of        form[T]
	low, high int
	// plural names the elements in messages: "addresses".
	plural string
}

func (f lists[T]) expected() string {
	return fmt.Sprintf("a list of %s %s, each %s", span(f.low, f.high), f.plural, f.of.expected())
}

func span(low, high int) string {
	if low == 0 {
		return fmt.Sprintf("at most %d", high)
	}
	return fmt.Sprintf("%d to %d", low, high)
}

func (f lists[T]) read(v value) ([]T, bool) {
	if v.node.shape != list {
		suggestion := ""
		if word, ok := v.node.value.(string); ok && !v.secret {
			suggestion = "[" + strconv.Quote(word) + "]"
		}
		v.wrongType(f.expected(), suggestion)
		return nil, false
	}
	good := true
	if n := len(v.node.items); n < f.low || n > f.high {
		message := fmt.Sprintf("has %d %s", n, f.plural)
		switch n {
		case 0:
			message = "is empty"
		case 1:
			message = "has one element"
		}
		v.wrong(message, span(f.low, f.high)+" "+f.plural, "")
		good = false
	}
	elements := make([]T, 0, len(v.node.items))
	lines := make(map[T]int, len(v.node.items))
	for i, item := range v.node.items {
		at := value{reader: v.reader, path: index(v.path, i), node: item, secret: v.secret}
		element, ok := f.of.read(at)
		if !ok {
			good = false
			continue
		}
		if line, twice := lines[element]; twice {
			at.wrong(fmt.Sprintf("%s is in the list already, on line %d", at.show(), line), "each of the "+f.plural+" once", "")
			good = false
			continue
		}
		lines[element] = v.reader.source.line(item.start)
		elements = append(elements, element)
	}
	return elements, good
}

// wordMaps takes a table of strings; name and word return what is wrong with a
// key and with a value.
type wordMaps struct {
	what string
	name func(string) string
}

func (f wordMaps) expected() string { return f.what }

func (f wordMaps) read(v value) (Environment, bool) {
	if v.node.shape != dictionary {
		v.wrongType(f.what, "")
		return nil, false
	}
	good := true
	entries := make(Environment, len(v.node.names))
	for _, name := range v.node.names {
		at := value{reader: v.reader, path: join(v.path, name), node: v.node.entries[name], secret: v.secret}
		if wrong := f.name(name); wrong != "" {
			v.reader.report(SeverityError, at.node.key, Problem{Key: at.path, Message: quoted(name) + " " + wrong, Expected: f.what})
			good = false
			continue
		}
		word, ok := at.node.value.(string)
		if !ok {
			at.wrongType("a string", "")
			good = false
			continue
		}
		entries[name] = word
	}
	return entries, good
}

// inFile writes a default as it would stand in the file; empty means that
// absence has a meaning of its own.
func inFile(def any) string {
	switch def := def.(type) {
	case string:
		if def == "" {
			return ""
		}
		return strconv.Quote(def)
	case time.Duration:
		return strconv.Quote(spell(def))
	case []string:
		if len(def) == 0 {
			return ""
		}
		parts := make([]string, 0, len(def))
		for _, word := range def {
			parts = append(parts, strconv.Quote(word))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case Environment:
		return ""
	case fmt.Stringer:
		return strconv.Quote(def.String())
	default:
		return fmt.Sprint(def)
	}
}
