// Package convert turns the wire's messages into plain values and back.
//
// Functions are named for their direction: ToX makes a wire message of a
// value, FromX makes a value of a wire message. They are pure. What comes from
// a plugin is treated as hostile: FromX caps lengths, drops what is out of
// range and never fails on an enum it does not know. What comes from the core
// is checked and refused with an error that names the field.
//
// Read result.go first: it is the hot path and holds the rules.
package convert
