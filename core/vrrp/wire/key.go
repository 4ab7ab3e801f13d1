package wire

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

const (
	// MinKeyLength is the length of the hash: a shorter key is the weakest part
	// of a MAC (RFC 2104 §3).
	MinKeyLength = sha256.Size
	// MaxKeyLength is one block of the hash: a longer key would be hashed first
	// and gain nothing (RFC 2104 §3).
	MaxKeyLength = sha256.BlockSize
	// MaxKeyFile is the longest content of a key file, in bytes, as Keepalived
	// has it: whoever reads one more knows that it is too long.
	MaxKeyFile = 138

	hexPrefix  = "hex:"
	filePrefix = "file:"
	keyRemedy  = `make one with "openssl rand -hex 32" and write hex: and its 64 digits`
)

// Key is a shared secret of the trailer, with the id that the trailer carries.
// The zero value is none. No formatting verb and no encoder prints it.
type Key struct {
	id     uint8
	secret *secret
}

// secret is a key behind two pointers. In other structs' unexported fields fmt may
// not call Format, and follows one of them where the verb is wrong for a pointer.
type secret struct {
	// block is filled with zeros behind the key's end, as HMAC does with it anyway
	// (RFC 2104 §2).
	block *[MaxKeyLength]byte
}

// KeyFile says whether the text of a key names the file that holds it, and
// which. The caller reads the file and hands it to ParseKeyFile.
func KeyFile(text string) (path string, named bool) { return strings.CutPrefix(text, filePrefix) }

// ParseKey reads a key as the configuration has it: behind "hex:" the digits of
// its bytes, in either case, and without this prefix the bytes of the text itself.
// No error shows any of it.
func ParseKey(id int, text string) (Key, error) {
	k, err := parseKey(id, text)
	if err != nil {
		return Key{}, fmt.Errorf("parse key %d: %w", id, err)
	}
	return k, nil
}

// ParseKeyFile reads a key from the content of the file at path, which is a text
// as ParseKey takes it. Line ends behind it do not belong to it, and blanks do.
func ParseKeyFile(id int, path string, content []byte) (Key, error) {
	if len(content) > MaxKeyFile {
		return Key{}, fmt.Errorf("parse key %d of %s: the file has more than %d bytes: leave nothing in it but the key", id, path, MaxKeyFile)
	}
	k, err := parseKey(id, strings.TrimRight(string(content), "\r\n"))
	if err != nil {
		return Key{}, fmt.Errorf("parse key %d of %s: %w", id, path, err)
	}
	return k, nil
}

func parseKey(id int, text string) (Key, error) {
	if id < 1 || id > 255 {
		return Key{}, errors.New("the id has one byte and is not 0: take one of 1 to 255")
	}
	if _, named := KeyFile(text); named {
		return Key{}, errors.New("it names a file where a key must stand: write the key itself")
	}
	raw, unit := []byte(text), "bytes of text"
	if digits, isHex := strings.CutPrefix(text, hexPrefix); isHex {
		// Keepalived skips blanks and takes a lone last digit for a byte. Both
		// are slips of the pen, and of a key one wants to hear about those.
		var err error
		switch raw, err = hex.DecodeString(digits); {
		case errors.Is(err, hex.ErrLength):
			return Key{}, fmt.Errorf("%d digits behind %s are half a byte too many or too few: compare them with the peers' key", len(digits), hexPrefix)
		case err != nil:
			wrong := strings.IndexFunc(digits, func(r rune) bool { return !strings.ContainsRune("0123456789abcdefABCDEF", r) })
			return Key{}, fmt.Errorf("character %d behind %s is not a hexadecimal digit: leave out blanks and punctuation", wrong+1, hexPrefix)
		}
		unit = "bytes in hexadecimal"
	}
	if len(raw) < MinKeyLength || len(raw) > MaxKeyLength {
		return Key{}, fmt.Errorf("%d %s, of which %d to %d are needed: %s", len(raw), unit, MinKeyLength, MaxKeyLength, keyRemedy)
	}
	block := new([MaxKeyLength]byte)
	copy(block[:], raw)
	return Key{uint8(id), &secret{block}}, nil
}

// ID is 1 to 255, and 0 of the zero value.
func (k Key) ID() uint8 { return k.id }

// Equal says whether both have the same id and secret.
func (k Key) Equal(other Key) bool {
	if k.secret == nil || other.secret == nil {
		return k.secret == other.secret
	}
	return k.id == other.id && subtle.ConstantTimeCompare(k.secret.block[:], other.secret.block[:]) == 1
}

// Format implements fmt.Formatter and shows the id, with every verb.
func (k Key) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "key %d (redacted)", k.id) }

// MarshalText shows the id to encoders.
func (k Key) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "key %d (redacted)", k.id), nil }
