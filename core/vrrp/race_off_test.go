//go:build !race

package vrrp_test

// raceFactor is how much less is run where every access is watched.
const raceFactor = 1
