package wire

import (
	"crypto/subtle"
	"errors"
	"fmt"
)

const passwordLength = 8

// AuthType is the authentication type of version 2 (RFC 2338 §5.3.6; RFC 3768
// keeps the field and withdraws the types).
type AuthType uint8

// The types that exist.
const (
	AuthNone     AuthType = 0
	AuthPassword AuthType = 1
	AuthHeader   AuthType = 2
)

// String is the configuration's word for the type.
func (t AuthType) String() string {
	switch t {
	case AuthNone:
		return "none"
	case AuthPassword:
		return "pass"
	case AuthHeader:
		return "ah"
	default:
		return fmt.Sprintf("type %d", uint8(t))
	}
}

// Auth is what a version 2 router authenticates with: nothing (the zero value),
// a password that travels in clear text and keeps out accidents only, or an IP
// authentication header, whose key the password is and never travels.
type Auth struct {
	Type     AuthType
	Password Password
}

func (a Auth) validate(version Version) error {
	switch {
	case version != V2 && a != Auth{}:
		// RFC 9568 §9 has none.
		return fmt.Errorf("encode advertisement: version %d has no authentication", version)
	case a.Type > AuthHeader || a.Type == AuthNone && a.Password != Password{}:
		return fmt.Errorf("encode advertisement: authentication type %v is not supported", a.Type)
	case a.Type == AuthHeader && a.Password == Password{}:
		return errors.New("encode advertisement: the authentication header needs a password")
	}
	return nil
}

// append adds the authentication data, which is there in every type and zero in
// all but one (RFC 2338 §5.3.10).
func (a Auth) append(dst []byte) []byte {
	var data Password
	if a.Type == AuthPassword {
		data = a.Password
	}
	return append(dst, data[:]...)
}

// Password is the eight bytes of authentication data, padded with zeros. No
// formatting verb and no encoder prints it.
type Password [passwordLength]byte

// NewPassword pads s. A longer one is an error and not cut: two routers that
// differ in the ninth character would agree by accident.
func NewPassword(s string) (Password, error) {
	var p Password
	if s == "" || len(s) > len(p) {
		return p, errors.New("password must have 1 to 8 bytes")
	}
	copy(p[:], s)
	return p, nil
}

// Format implements fmt.Formatter and hides the password from every verb.
func (Password) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("(redacted)")) }

// MarshalText hides the password from encoders.
func (Password) MarshalText() ([]byte, error) { return []byte("(redacted)"), nil }

// equal takes the same time wherever the passwords differ.
func (p Password) equal(other Password) bool {
	return subtle.ConstantTimeCompare(p[:], other[:]) == 1
}
