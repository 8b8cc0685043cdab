package graph

// What a Run with a network gets of the client beside the secrets that it names: how to get through
// the network of its site. All of it is optional, since not every client has something to say, and
// part of no key, since it changes how something is reached and not what comes.
const (
	// AuthoritiesFile is where such a Run has the certificates of the authorities that the client
	// trusts, as PEM. There is no such file if the client has none.
	AuthoritiesFile = "/.mergefest-ca.pem"
	// AuthoritiesSecret is the name of the secret that is mounted there.
	AuthoritiesSecret = "mergefest.ca"
	// AuthoritiesPathSecret is the name of a secret whose value is AuthoritiesFile if there is one: an
	// analyzer makes it a variable of the environment that its ecosystem reads. (A variable that names
	// a file which isn't there is an error for some programs.)
	AuthoritiesPathSecret = "mergefest.ca.path"
)

// NetworkEnvSecret is the name of the secret that has the value of one of NetworkEnv's variables.
func NetworkEnvSecret(variable string) string { return "mergefest.env." + variable }

// NetworkEnv lists the variables that a Run with a network has in its container's environment, as far
// as the client has values for them: proxies, and SSL_CERT_FILE, which is AuthoritiesFile. A command
// gets those that its Env lists.
func NetworkEnv() []string { return append(ProxyEnv(), "SSL_CERT_FILE") }

// ProxyEnv lists the variables that name proxies, in both spellings: programs differ in which they read.
func ProxyEnv() []string {
	return []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"}
}
