package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// present stands for a value that is a table of its own.
const present = "present"

// fields compares two objects of one type field by field. Fields are named by
// their json tags, which are the keys of halo.toml; "-" is a field that the
// file does not have. Reflection sees to it that a field somebody adds is
// compared without anybody thinking of it.
func fields[T any](old, next T) []Field {
	c := comparison{}
	c.structs("", reflect.ValueOf(old), reflect.ValueOf(next))
	return c.found
}

type comparison struct{ found []Field }

func (c *comparison) add(name, old, next string) {
	c.found = append(c.found, Field{Name: name, Old: old, New: next})
}

func (c *comparison) structs(path string, old, next reflect.Value) {
	for i := range old.NumField() {
		field := old.Type().Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if !field.IsExported() || name == "-" {
			continue
		}
		if path != "" {
			name = path + "." + name
		}
		c.values(name, old.Field(i).Interface(), next.Field(i).Interface())
	}
}

// values compares the two values of one field.
func (c *comparison) values(name string, old, next any) {
	switch before := old.(type) {
	case Secret:
		if !before.Equal(next.(Secret)) {
			c.add(name, before.String(), next.(Secret).String())
		}
	case GARP:
		c.structs(name, reflect.ValueOf(old), reflect.ValueOf(next))
	case *bool:
		if a, b := truth(before), truth(next.(*bool)); a != b {
			c.add(name, a, b)
		}
	case *Auth:
		c.auth(name, before, next.(*Auth))
	case *VMAC:
		optional(c, name, before, next.(*VMAC))
	case *RouterAdvertisement:
		optional(c, name, before, next.(*RouterAdvertisement))
	case *BFD:
		if after := next.(*BFD); before != nil && after != nil {
			c.structs("", reflect.ValueOf(*before), reflect.ValueOf(*after))
		}
	case *Check:
		// One type of tracker has other keys than another.
		if after := next.(*Check); before != nil && after != nil && before.Type == after.Type {
			c.checks("", before, after)
		}
	case Environment:
		c.environments(name, before, next.(Environment))
	case []*RealServer:
		compareKeyed(c, name, before, next.([]*RealServer), func(rs *RealServer) string { return rs.Address.String() }, c.realServers)
	case []TrackUse:
		c.uses(name, before, next.([]TrackUse))
	case []UnicastPeer:
		if a, b := peers(before), peers(next.([]UnicastPeer)); a != b {
			c.add(name, a, b)
		}
	case []Address:
		c.entries(name, texts(before, addressName), texts(next.([]Address), addressName))
	case []*AuthKey:
		compareKeyed(c, name, before, next.([]*AuthKey), func(k *AuthKey) string { return strconv.Itoa(int(k.ID)) }, func(path string, old, next *AuthKey) {
			c.structs(path, reflect.ValueOf(*old), reflect.ValueOf(*next))
		})
	case []Route:
		c.entries(name, texts(before, routeName), texts(next.([]Route), routeName))
	case []Rule:
		c.entries(name, texts(before, ruleName), texts(next.([]Rule), ruleName))
	case []*Check:
		compareKeyed(c, name, before, next.([]*Check), func(check *Check) string { return check.Name }, c.checks)
	default:
		if shownOld, shownNew := shown(old), shown(next); shownOld != shownNew {
			c.add(name, shownOld, shownNew)
		}
	}
}

// peers shows a list of peers, whose order says nothing.
func peers(list []UnicastPeer) string {
	words := make([]string, 0, len(list))
	for _, p := range list {
		word := p.Address.String()
		if p.MinTTL != 0 || p.MaxTTL != 0 {
			word += fmt.Sprintf(" (ttl %d-%d)", p.MinTTL, p.MaxTTL)
		}
		words = append(words, word)
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}

// truth shows a truth that may be absent.
func truth(b *bool) string {
	if b == nil {
		return ""
	}
	return strconv.FormatBool(*b)
}

// auth compares what is signed with, or that with nothing.
func (c *comparison) auth(name string, old, next *Auth) {
	if old != nil && next != nil && old.Type != next.Type && (old.Type == "hmac" || next.Type == "hmac") {
		c.add(name+".type", old.Type, next.Type) // The rest is the type's own.
		return
	}
	optional(c, name, old, next)
}

// optional compares two tables of which either may be absent.
func optional[T any](c *comparison, name string, old, next *T) {
	switch {
	case old == nil && next == nil:
	case old == nil:
		c.add(name, "", present)
	case next == nil:
		c.add(name, present, "")
	default:
		c.structs(name, reflect.ValueOf(*old), reflect.ValueOf(*next))
	}
}

// uses compares what is tracked by its names.
func (c *comparison) uses(name string, old, next []TrackUse) {
	before := make(map[string]TrackUse, len(old))
	for _, use := range old {
		before[use.Tracker] = use
	}
	for _, use := range next {
		path := name + "[" + use.Tracker + "]"
		if was, had := before[use.Tracker]; had {
			c.structs(path, reflect.ValueOf(was), reflect.ValueOf(use))
		} else {
			c.add(path, "", present)
		}
		delete(before, use.Tracker)
	}
	for _, gone := range slices.Sorted(maps.Keys(before)) {
		c.add(name+"["+gone+"]", present, "")
	}
}

func (c *comparison) environments(name string, old, next Environment) {
	for _, variable := range slices.Sorted(maps.Keys(merged(old, next))) {
		before, had := old[variable]
		after, has := next[variable]
		if had && has && before == after {
			continue
		}
		c.add(join(name, variable), mark(had, redacted), mark(has, redacted))
	}
}

func mark(is bool, word string) string {
	if is {
		return word
	}
	return ""
}

func merged[V any](a, b map[string]V) map[string]V {
	all := maps.Clone(a)
	if all == nil {
		all = make(map[string]V, len(b))
	}
	maps.Copy(all, b)
	return all
}

// compareKeyed compares lists whose elements have a key of their own: their
// order says nothing.
func compareKeyed[T any](c *comparison, name string, old, next []*T, key func(*T) string, compare func(string, *T, *T)) {
	before := make(map[string]*T, len(old))
	for _, element := range old {
		before[key(element)] = element
	}
	after := make(map[string]bool, len(next))
	for _, element := range next {
		k := key(element)
		after[k] = true
		path := name + "[" + k + "]"
		if was, ok := before[k]; ok {
			compare(path, was, element)
		} else {
			c.add(path, "", present)
		}
	}
	for _, element := range old {
		if k := key(element); !after[k] {
			c.add(name+"["+k+"]", present, "")
		}
	}
}

func (c *comparison) realServers(path string, old, next *RealServer) {
	c.structs(path, reflect.ValueOf(*old), reflect.ValueOf(*next))
}

func (c *comparison) checks(path string, old, next *Check) {
	if old.Equal(*next) {
		return
	}
	c.structs(path, reflect.ValueOf(*old), reflect.ValueOf(*next))
	if old.Plugin != next.Plugin {
		c.add(below(path, "plugin"), old.Plugin, next.Plugin)
	}
	c.settings(path, old, next)
}

// below is a field within what is at path; the empty path is the object itself.
func below(path, name string) string { return strings.TrimPrefix(path+"."+name, ".") }

// settings compares the settings of two checks key by key.
func (c *comparison) settings(path string, old, next *Check) {
	if bytes.Equal(old.Settings, next.Settings) {
		return
	}
	before, after := decodedSettings(old), decodedSettings(next)
	for _, key := range slices.Sorted(maps.Keys(merged(before, after))) {
		if bytes.Equal(before[key], after[key]) {
			continue
		}
		secret := slices.Contains(old.Sensitive, key) || slices.Contains(next.Sensitive, key)
		c.add(below(path, key), shownSetting(before[key], secret), shownSetting(after[key], secret))
	}
}

func decodedSettings(check *Check) map[string]json.RawMessage {
	var decoded map[string]json.RawMessage
	if json.Unmarshal(check.Settings, &decoded) != nil {
		return nil
	}
	return decoded
}

func shownSetting(raw json.RawMessage, secret bool) string {
	if len(raw) > 0 && secret {
		return redacted
	}
	return string(raw)
}

// shown writes a value for people; the empty text means absent.
func shown(v any) string {
	switch v := v.(type) {
	case time.Duration:
		return spell(v)
	case netip.Addr:
		return mark(v.IsValid(), v.String())
	case netip.AddrPort:
		return mark(v.IsValid(), v.String())
	case []AdvertisedPrefix:
		return spelt(v)
	case []netip.Addr:
		return spelt(v)
	case []string:
		return strings.Join(v, ", ")
	case uint16:
		return mark(v != 0, strconv.Itoa(int(v))) // connect_port, mtu: 0 says nothing.
	default:
		return fmt.Sprint(v)
	}
}

// spelt shows a list by what its elements call themselves.
func spelt[T fmt.Stringer](list []T) string {
	words := make([]string, 0, len(list))
	for _, element := range list {
		words = append(words, element.String())
	}
	return strings.Join(words, ", ")
}
