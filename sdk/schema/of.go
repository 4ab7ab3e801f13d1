package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Of derives the settings of a type from a struct (or a pointer to one). Each
// exported field carries tags:
//
//	Path string `halo:"path" doc:"What to ask for." default:"/" required:"true"`
//
//	halo        the key in halo.toml; "-" leaves the field out
//	doc         one or two sentences for `halo plugin info`
//	default     the value when the key is absent, written plainly: 5s, 3, true,
//	            /; a list is 200,201 or, where an element holds a comma, JSON
//	required    "true": the key must be written; excludes a default
//	min, max    bounds of a number, a duration, or the length of a list or table
//	enum        the allowed words of a string or of each of a list, by commas
//	sensitive   "true": the value is never printed
//	capability  the privilege that is needed when the key is written
//
// A field may be a bool, any int, uint (up to 63 bits) or float, string,
// time.Duration, []string, []int, []int64, map[string]string, or a pointer to
// one of the first six, which stays nil when the key is absent. The fields of
// an embedded struct count as if they stood in the outer one. The width of an
// integer becomes its bounds and a duration is not negative, unless min and
// max say otherwise.
func Of(v any) ([]Setting, error) {
	t := reflect.TypeOf(v)
	if t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	fields, err := fieldsOf(t)
	if err != nil {
		return nil, err
	}
	settings := make([]Setting, 0, len(fields))
	for _, f := range fields {
		settings = append(settings, f.setting)
	}
	return settings, nil
}

// field ties a setting to the place of its value in the struct.
type field struct {
	setting Setting
	index   []int
}

func fieldsOf(t reflect.Type) ([]field, error) {
	if t == nil || t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("settings must be a struct, not %v", t)
	}
	var (
		fields []field
		errs   []error
		seen   = map[string]bool{}
	)
	for _, sf := range reflect.VisibleFields(t) {
		key, tagged := sf.Tag.Lookup("halo")
		switch {
		case sf.Anonymous && sf.Type.Kind() == reflect.Struct && !tagged, key == "-":
			continue
		case !sf.IsExported() && !tagged:
			continue
		case !sf.IsExported():
			errs = append(errs, fmt.Errorf("field %s: must be exported", sf.Name))
			continue
		case !tagged:
			errs = append(errs, fmt.Errorf(`field %s: has no halo tag (use halo:"-" to leave it out)`, sf.Name))
			continue
		case seen[key]:
			errs = append(errs, fmt.Errorf("field %s: key %s is used twice", sf.Name, key))
			continue
		}
		seen[key] = true
		s, err := settingOf(key, sf)
		if err != nil {
			errs = append(errs, fmt.Errorf("field %s: %w", sf.Name, err))
			continue
		}
		fields = append(fields, field{setting: s, index: sf.Index})
	}
	return fields, errors.Join(errs...)
}

func settingOf(key string, sf reflect.StructField) (Setting, error) {
	t, pointer := sf.Type, false
	if t.Kind() == reflect.Pointer {
		t, pointer = t.Elem(), true
	}
	kind, lo, hi, ok := kindOf(t)
	if !ok || (pointer && (kind == Strings || kind == Ints || kind == Map)) {
		return Setting{}, fmt.Errorf("type %v cannot be a setting", sf.Type)
	}
	s := Setting{
		Name: key, Kind: kind, Doc: sf.Tag.Get("doc"),
		Min: lo, Max: hi, Capability: sf.Tag.Get("capability"),
	}
	if text, ok := sf.Tag.Lookup("min"); ok {
		s.Min = text
	}
	if text, ok := sf.Tag.Lookup("max"); ok {
		s.Max = text
	}
	if text := sf.Tag.Get("enum"); text != "" {
		s.Enum = strings.Split(text, ",")
	}
	var err error
	if s.Required, err = flag(sf.Tag, "required"); err != nil {
		return s, err
	}
	if s.Sensitive, err = flag(sf.Tag, "sensitive"); err != nil {
		return s, err
	}
	if text, ok := sf.Tag.Lookup("default"); ok {
		if s.Default, err = defaultOf(kind, text); err != nil {
			return s, err
		}
	}
	if problems := checkSetting(&s); len(problems) > 0 {
		return s, &SettingsError{Problems: problems}
	}
	if err := fitsField(&s, t); err != nil {
		return s, err
	}
	return s, nil
}

func flag(tag reflect.StructTag, name string) (bool, error) {
	switch text := tag.Get(name); text {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	default:
		return false, fmt.Errorf(`tag %s:%q must be "true"`, name, text)
	}
}

// kindOf also returns the bounds that the Go type itself has.
func kindOf(t reflect.Type) (kind ValueKind, lo, hi string, ok bool) {
	if t == reflect.TypeFor[time.Duration]() {
		return Duration, "0s", "", true
	}
	switch t.Kind() {
	case reflect.Bool:
		return Bool, "", "", true
	case reflect.String:
		return String, "", "", true
	case reflect.Float32, reflect.Float64:
		return Float, "", "", true
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		lo, hi = widthBounds(t.Bits())
		return Int, lo, hi, true
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if t.Bits() < 64 {
			hi = strconv.FormatUint(1<<t.Bits()-1, 10)
		}
		return Int, "0", hi, true
	case reflect.Slice:
		switch t.Elem().Kind() {
		case reflect.String:
			return Strings, "", "", true
		case reflect.Int, reflect.Int64:
			return Ints, "", "", t.Elem() != reflect.TypeFor[time.Duration]()
		}
	case reflect.Map:
		return Map, "", "", t.Key().Kind() == reflect.String && t.Elem().Kind() == reflect.String
	}
	return "", "", "", false
}

func widthBounds(bits int) (lo, hi string) {
	if bits == 64 {
		return "", ""
	}
	return strconv.FormatInt(-1<<(bits-1), 10), strconv.FormatInt(1<<(bits-1)-1, 10)
}

// fitsField refuses bounds that are wider than the field: a value could pass
// the schema and then not fit.
func fitsField(s *Setting, t reflect.Type) error {
	_, typeLo, typeHi, _ := kindOf(t)
	if s.Kind != Int {
		return nil
	}
	lo, hi, err := s.bounds()
	if err != nil {
		return err
	}
	width := Setting{Kind: Int, Min: typeLo, Max: typeHi}
	wideLo, wideHi, err := width.bounds()
	if err != nil {
		return err
	}
	if (wideLo != nil && (lo == nil || less(lo, wideLo))) || (wideHi != nil && (hi == nil || less(wideHi, hi))) {
		return fmt.Errorf("min and max allow more than %v can hold", t)
	}
	return nil
}

// defaultOf turns the plain text of a tag into a value that is TOML and JSON
// at once.
func defaultOf(kind ValueKind, text string) (string, error) {
	switch kind {
	case Bool, Int, Float:
		return text, nil
	case String, Duration:
		return quoteJSON(text), nil
	case Strings:
		if strings.HasPrefix(text, "[") {
			return text, nil
		}
		parts := splitList(text)
		for i := range parts {
			parts[i] = quoteJSON(parts[i])
		}
		return "[" + strings.Join(parts, ", ") + "]", nil
	case Ints:
		if strings.HasPrefix(text, "[") {
			return text, nil
		}
		return "[" + strings.Join(splitList(text), ", ") + "]", nil
	case Map:
		return "", errors.New("a table has no default")
	}
	return "", fmt.Errorf("kind %q is not known", kind)
}

func splitList(text string) []string {
	if text == "" {
		return nil
	}
	parts := strings.Split(text, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

func quoteJSON(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil { // A string always has a JSON form.
		return strconv.Quote(text)
	}
	return string(quoted)
}
