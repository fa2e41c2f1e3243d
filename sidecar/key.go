package main

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
)

const (
	// keyPrefix makes a key recognisable to those who scan for leaked ones.
	keyPrefix = "tg-"
	keyBytes  = 32
	// longestKey is the most that is read as one, in bytes.
	longestKey = 64 << 10
)

type key struct {
	Name string `arg:"" optional:"" default:"client" help:"The subscription the key is for."`
	Hash bool   `help:"Read a key that exists from standard input and print its hash."`
}

func (k *key) Run(s streams) error {
	if k.Hash {
		return hash(s)
	}
	random := make([]byte, keyBytes)
	rand.Read(random)
	made := keyPrefix + base64.RawURLEncoding.EncodeToString(random)
	// Quoted, since YAML takes some names and hashes for numbers.
	_, err := fmt.Fprintf(s.out, `%s

# The key is for the client and is not kept here. For the document:
subscriptions:
  - name: %s
    keys: [{sha256: "%x"}]
`, made, strconv.Quote(k.Name), sha256.Sum256([]byte(made)))
	return err
}

// hash reads the key from standard input, since arguments are seen by every user
// of a machine and remembered by shells.
func hash(s streams) error {
	in, err := io.ReadAll(io.LimitReader(s.in, longestKey+1))
	if err != nil {
		return fmt.Errorf("standard input: %w", err)
	}
	in = bytes.TrimRight(in, "\r\n")
	switch {
	case len(in) == 0:
		return errors.New("standard input: no key in it")
	case len(in) > longestKey:
		return fmt.Errorf("standard input: a key has at most %d bytes", longestKey)
	case bytes.ContainsAny(in, " \t\r\n"):
		return errors.New("standard input: white space in the key")
	}
	_, err = fmt.Fprintf(s.out, "%x\n", sha256.Sum256(in))
	return err
}
