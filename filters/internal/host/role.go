package host

import (
	"errors"

	"github.com/tidwall/gjson"
)

// roleOf reads the member "role" without decoding the rest, which is large.
func roleOf(configuration []byte) (string, error) {
	if !gjson.ValidBytes(configuration) {
		return "", errors.New("not JSON")
	}
	return gjson.GetBytes(configuration, "role").String(), nil
}
