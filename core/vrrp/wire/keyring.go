package wire

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// KeyRing holds the keys of one virtual router: one to send with, and all to
// receive with, the one that the trailer names. It does not change once made. The
// zero value has none.
//
// A key is replaced without a gap in three steps, each on all routers before the
// next: add the successor, send with it, remove the predecessor.
type KeyRing struct {
	keys    []Key
	sending Key
}

// NewKeyRing collects keys of different ids, of which sending is one. Keepalived
// turns authentication off where it is not; halo refuses, because whoever
// configures keys does not want to go without.
func NewKeyRing(sending int, keys ...Key) (KeyRing, error) {
	if len(keys) == 0 {
		return KeyRing{}, errors.New("make key ring: it has no keys: add one, or remove the authentication")
	}
	r := KeyRing{keys: slices.Clone(keys)}
	slices.SortFunc(r.keys, func(a, b Key) int { return int(a.id) - int(b.id) })
	for i, k := range r.keys {
		switch {
		case k.secret == nil:
			return KeyRing{}, errors.New("make key ring: a key is empty: make it with ParseKey")
		case i > 0 && k.id == r.keys[i-1].id:
			return KeyRing{}, fmt.Errorf("make key ring: key %d is there twice: the trailer names keys by their id, so give one of them another", k.id)
		case int(k.id) == sending:
			r.sending = k
		}
	}
	if r.sending.secret == nil {
		return KeyRing{}, fmt.Errorf("make key ring: key %d, to send with, is not among the keys %s: add it, or send with one of them", sending, r.ids())
	}
	return r, nil
}

// Empty says whether there are no keys.
func (r KeyRing) Empty() bool { return len(r.keys) == 0 }

// Sending is the key to send with.
func (r KeyRing) Sending() Key { return r.sending }

// IDs are the keys' ids, ascending.
func (r KeyRing) IDs() []uint8 {
	list := make([]uint8, len(r.keys))
	for i, k := range r.keys {
		list[i] = k.id
	}
	return list
}

// find looks up the key a trailer names. No other is tried.
func (r KeyRing) find(id uint8) (Key, bool) {
	for _, k := range r.keys {
		if k.id == id {
			return k, true
		}
	}
	return Key{}, false
}

// Equal says whether both hold the same keys and send with the same.
func (r KeyRing) Equal(other KeyRing) bool {
	return r.sending.Equal(other.sending) && slices.EqualFunc(r.keys, other.keys, Key.Equal)
}

// String names the keys by their ids.
func (r KeyRing) String() string {
	if r.Empty() {
		return "no keys"
	}
	return fmt.Sprintf("keys %s, sending with %d", r.ids(), r.sending.id)
}

func (r KeyRing) ids() string {
	var b strings.Builder
	for i, k := range r.keys {
		if i > 0 {
			b.WriteString(", ")
		}
		_, _ = fmt.Fprint(&b, k.id)
	}
	return b.String()
}

// Format implements fmt.Formatter and shows what String does, with every verb.
func (r KeyRing) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(r.String())) }

// MarshalText shows the same to encoders.
func (r KeyRing) MarshalText() ([]byte, error) { return []byte(r.String()), nil }
