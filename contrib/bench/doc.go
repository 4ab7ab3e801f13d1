// Package bench measures halo beside Keepalived, both in the same run on the
// same machine, and prints ratios. It contains measurements only, written as
// tests so that they can use the test labs, and does nothing unless -measure
// is given: `make bench` gives it. Figures and method are in README.md.
package bench
