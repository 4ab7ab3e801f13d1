package schema

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"time"
)

// Decode fills the struct that into points to from a JSON object: defaults
// first, then what is written. It is as strict as Validate, with which it
// shares every line that judges: the error is a *SettingsError with all the
// problems, and into is then left as it was.
func Decode(settings json.RawMessage, into any) error {
	target := reflect.ValueOf(into)
	if target.Kind() != reflect.Pointer || target.IsNil() {
		return fmt.Errorf("decode settings into %T: not a pointer to a struct", into)
	}
	fields, err := fieldsOf(target.Type().Elem())
	if err != nil {
		return err
	}
	all := make([]Setting, 0, len(fields))
	for _, f := range fields {
		all = append(all, f.setting)
	}
	values, problems := parseTable(settings, all)
	if len(problems) > 0 {
		return &SettingsError{Problems: problems}
	}
	for _, f := range fields {
		v, written := values[f.setting.Name]
		if !written && f.setting.Default != "" {
			if v, problems = f.setting.parse(json.RawMessage(f.setting.Default)); len(problems) > 0 {
				return &SettingsError{Problems: problems}
			}
			written = true
		}
		if written {
			setField(target.Elem().FieldByIndex(f.index), v)
		}
	}
	return nil
}

// setField stores a parsed value. The schema's bounds have been held, and they
// are never wider than the field.
func setField(f reflect.Value, v value) {
	if f.Kind() == reflect.Pointer {
		f.Set(reflect.New(f.Type().Elem()))
		f = f.Elem()
	}
	switch v := v.(type) {
	case bool:
		f.SetBool(v)
	case string:
		f.SetString(v)
	case float64:
		f.SetFloat(v)
	case time.Duration:
		f.SetInt(int64(v))
	case int64:
		if f.CanUint() {
			f.SetUint(uint64(v & math.MaxInt64))
			return
		}
		f.SetInt(v)
	case []string:
		list := reflect.MakeSlice(f.Type(), len(v), len(v))
		for i, text := range v {
			list.Index(i).SetString(text)
		}
		f.Set(list)
	case []int64:
		list := reflect.MakeSlice(f.Type(), len(v), len(v))
		for i, n := range v {
			list.Index(i).SetInt(n)
		}
		f.Set(list)
	case map[string]string:
		table := reflect.MakeMapWithSize(f.Type(), len(v))
		for key, text := range v {
			table.SetMapIndex(reflect.ValueOf(key).Convert(f.Type().Key()), reflect.ValueOf(text).Convert(f.Type().Elem()))
		}
		f.Set(table)
	}
}
