package host

import "github.com/tidwall/gjson"

// roleOf reads the member "role", which stands first: the rest may be a megabyte
// and is read once, by the role itself.
func roleOf(configuration []byte) string {
	return gjson.GetBytes(configuration, "role").String()
}
