// Secrets of a build, handed out to the engine one by one.
package build

import (
	"context"
	"fmt"

	"github.com/moby/buildkit/session/secrets"
)

// secretMap serves secrets from memory.
type secretMap map[string][]byte

// GetSecret implements secrets.SecretStore.
func (m secretMap) GetSecret(_ context.Context, name string) ([]byte, error) {
	if v, ok := m[name]; ok {
		return v, nil
	}
	return nil, fmt.Errorf("secret %s: %w", name, secrets.ErrNotFound)
}
