/* SPDX-License-Identifier: PostgreSQL */
/*
 * keys.c
 *	  Public keys out of a JSON Web Key Set (RFC 7517, 7518, 8037), and signatures checked with them.
 *
 * 1. The algorithms allowed stand in a table and each needs one kind of key; the kind is the key's own, never the
 *	  token's word. There is no `none` and nothing with a shared secret in the table, so a public key can never be
 *	  taken for one.
 * 2. A key says further what it is for: `use` must be sig, `key_ops` must contain verify, `alg` must be the token's,
 *	  each if it is there.
 * 3. A key of an unknown type, with unknown members, too weak or malformed is left out without spoiling the others:
 *	  providers add kinds of keys that we don't know.
 *
 * Called from: codec/token, chat/oidc. Calls: OpenSSL, codec/base64, codec/json.
 */
#include "codec/keys.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include "base/mem.h"
#include "codec/base64.h"
#include "codec/json.h"

#define KEYS_MAX     64   /* keys of one set; more are left out */
#define RSA_BITS_MIN 2048 /* of the modulus; less is breakable */
#define RSA_BITS_MAX 8192 /* the same; more costs too much to check */
#define EXPONENT_MAX 64   /* bits of RSA's public exponent */
#define POINT_MAX    48   /* bytes of a coordinate */
#define ED25519_SIZE 32   /* bytes of its key */

enum key_kind
{
	KIND_RSA,
	KIND_P256,
	KIND_P384,
	KIND_ED25519
};

struct algorithm
{
	const char *name;   /* `alg` */
	enum key_kind kind; /* the only one of key that fits */
	const char *digest; /* OpenSSL's name; NULL: the algorithm has its own */
	bool pss;           /* RSA with PSS padding */
};

/* An elliptic curve of the kinds above. */
struct curve
{
	const char *name;   /* `crv` */
	enum key_kind kind; /* of its keys */
	const char *group;  /* OpenSSL's name */
	size_t size;        /* bytes of a coordinate */
};

struct key
{
	enum key_kind kind;                /* which algorithms fit */
	char *id;                          /* owned; NULL: it has none */
	const struct algorithm *algorithm; /* the only one; NULL: any of its kind */
	EVP_PKEY *pkey;                    /* owned */
};

struct key_set
{
	struct key keys[KEYS_MAX]; /* the first `count` are in use */
	int count;                 /* of them */
};

static const struct algorithm algorithms[] = {
	{"RS256", KIND_RSA, "SHA256", false},  {"RS384", KIND_RSA, "SHA384", false},
	{"RS512", KIND_RSA, "SHA512", false},  {"PS256", KIND_RSA, "SHA256", true},
	{"PS384", KIND_RSA, "SHA384", true},   {"PS512", KIND_RSA, "SHA512", true},
	{"ES256", KIND_P256, "SHA256", false}, {"ES384", KIND_P384, "SHA384", false},
	{"EdDSA", KIND_ED25519, NULL, false},
};
static const struct curve curves[] = {{"P-256", KIND_P256, "prime256v1", 32},
									  {"P-384", KIND_P384, "secp384r1", 48}};

const struct algorithm *
algorithm_find(const char *name)
{
	for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++)
	{
		if (strcmp(algorithms[i].name, name) == 0)
			return &algorithms[i];
	}
	return NULL;
}

/* A member that is base64url of bytes; false: it isn't. */
static bool
read_bytes(const json_t *jwk, const char *name, struct buf *out)
{
	const json_t *value = json_object_get(jwk, name);

	buf_clear(out);
	return json_is_string(value) && json_string_length(value) > 0 &&
		   base64url_read(out, json_string_value(value), json_string_length(value));
}

static BIGNUM *
read_number(const json_t *jwk, const char *name)
{
	struct buf bytes = {0};
	BIGNUM *number = NULL;

	if (read_bytes(jwk, name, &bytes) && bytes.length <= RSA_BITS_MAX / 8)
		number = BN_bin2bn((const unsigned char *) bytes.data, (int) bytes.length, NULL);
	buf_free(&bytes);
	return number;
}

/* What the builder has got, as a public key of the type; NULL: OpenSSL doesn't take it. */
static EVP_PKEY *
build(const char *type, OSSL_PARAM_BLD *builder)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(builder);
	EVP_PKEY *pkey = NULL;

	if (context != NULL && params != NULL && EVP_PKEY_fromdata_init(context) == 1 &&
		EVP_PKEY_fromdata(context, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
		pkey = NULL;
	OSSL_PARAM_free(params);
	EVP_PKEY_CTX_free(context);
	return pkey;
}

static EVP_PKEY *
read_rsa(const json_t *jwk)
{
	BIGNUM *n = read_number(jwk, "n");
	BIGNUM *e = read_number(jwk, "e");
	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	EVP_PKEY *pkey = NULL;

	if (n != NULL && e != NULL && builder != NULL && BN_num_bits(n) >= RSA_BITS_MIN && BN_is_odd(n) &&
		BN_num_bits(e) >= 2 && BN_num_bits(e) <= EXPONENT_MAX && BN_is_odd(e) &&
		OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
		OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e) == 1)
		pkey = build("RSA", builder);
	OSSL_PARAM_BLD_free(builder);
	BN_free(n);
	BN_free(e);
	return pkey;
}

static const struct curve *
curve_find(const json_t *jwk)
{
	const char *name = json_string_value(json_object_get(jwk, "crv"));

	for (size_t i = 0; name != NULL && i < sizeof curves / sizeof curves[0]; i++)
	{
		if (strcmp(curves[i].name, name) == 0)
			return &curves[i];
	}
	return NULL;
}

/* 4, x, y: an uncompressed point. */
static bool
read_point(const json_t *jwk, const struct curve *curve, unsigned char *point)
{
	struct buf bytes = {0};
	bool good;

	point[0] = POINT_CONVERSION_UNCOMPRESSED;
	good = read_bytes(jwk, "x", &bytes) && bytes.length == curve->size;
	if (good)
		memcpy(point + 1, bytes.data, curve->size);
	good = good && read_bytes(jwk, "y", &bytes) && bytes.length == curve->size;
	if (good)
		memcpy(point + 1 + curve->size, bytes.data, curve->size);
	buf_free(&bytes);
	return good;
}

/* A point that is not on the curve makes no key: OpenSSL looks. */
static EVP_PKEY *
read_ec(const json_t *jwk, enum key_kind *kind)
{
	const struct curve *curve = curve_find(jwk);
	unsigned char point[1 + 2 * POINT_MAX];
	OSSL_PARAM_BLD *builder;
	EVP_PKEY *pkey = NULL;

	if (curve == NULL || !read_point(jwk, curve, point))
		return NULL;
	*kind = curve->kind;
	builder = OSSL_PARAM_BLD_new();
	if (builder != NULL &&
		OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, curve->group, 0) == 1 &&
		OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * curve->size) == 1)
		pkey = build("EC", builder);
	OSSL_PARAM_BLD_free(builder);
	return pkey;
}

static EVP_PKEY *
read_okp(const json_t *jwk)
{
	const char *curve = json_string_value(json_object_get(jwk, "crv"));
	struct buf bytes = {0};
	EVP_PKEY *pkey = NULL;

	if (curve != NULL && strcmp(curve, "Ed25519") == 0 && read_bytes(jwk, "x", &bytes) &&
		bytes.length == ED25519_SIZE)
		pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, (const unsigned char *) bytes.data,
										   bytes.length);
	buf_free(&bytes);
	return pkey;
}

static EVP_PKEY *
read_material(const json_t *jwk, enum key_kind *kind)
{
	const char *type = json_string_value(json_object_get(jwk, "kty"));

	if (type == NULL)
		return NULL;
	if (strcmp(type, "EC") == 0)
		return read_ec(jwk, kind);
	*kind = strcmp(type, "RSA") == 0 ? KIND_RSA : KIND_ED25519;
	return *kind == KIND_RSA ? read_rsa(jwk) : strcmp(type, "OKP") == 0 ? read_okp(jwk) : NULL;
}

/* By `use` and `key_ops`. */
static bool
is_for_signatures(const json_t *jwk)
{
	const json_t *use = json_object_get(jwk, "use");
	const json_t *operations = json_object_get(jwk, "key_ops");
	bool found = operations == NULL;

	for (size_t i = 0; i < json_array_size(operations); i++)
	{
		const char *operation = json_string_value(json_array_get(operations, i));

		found = found || (operation != NULL && strcmp(operation, "verify") == 0);
	}
	return found && (use == NULL || (json_is_string(use) && strcmp(json_string_value(use), "sig") == 0));
}

static bool
key_read(const json_t *jwk, struct key *key)
{
	const json_t *id = json_object_get(jwk, "kid");
	const json_t *name = json_object_get(jwk, "alg");

	*key = (struct key){0};
	if (!is_for_signatures(jwk) || (id != NULL && !json_is_string(id)))
		return false;
	if (name != NULL)
		key->algorithm = json_is_string(name) ? algorithm_find(json_string_value(name)) : NULL;
	if (name != NULL && key->algorithm == NULL)
		return false;
	key->pkey = read_material(jwk, &key->kind);
	ERR_clear_error();
	if (key->pkey == NULL)
		return false;
	if (id != NULL)
		key->id = mem_copy(json_string_value(id));
	return true;
}

struct key_set *
keys_read(const char *text, size_t length, const char **why)
{
	struct key_set *set = mem_alloc(sizeof *set);
	json_t *value = json_read(text, length, why);
	const json_t *list = json_object_get(value, "keys");

	if (value != NULL)
		*why = json_is_array(list) ? "no key of use" : "no member keys";
	for (size_t i = 0; i < json_array_size(list) && set->count < KEYS_MAX; i++)
		set->count += key_read(json_array_get(list, i), &set->keys[set->count]);
	json_decref(value);
	if (set->count > 0)
		return set;
	keys_free(set);
	return NULL;
}

void
keys_free(struct key_set *set)
{
	for (int i = 0; set != NULL && i < set->count; i++)
	{
		EVP_PKEY_free(set->keys[i].pkey);
		mem_free(set->keys[i].id);
	}
	mem_free(set);
}

int
keys_count(const struct key_set *set)
{
	return set->count;
}

static bool
fits(const struct key *key, const struct algorithm *algorithm)
{
	return key->kind == algorithm->kind && (key->algorithm == NULL || key->algorithm == algorithm);
}

enum key_verdict
keys_find(const struct key_set *set, const char *id, const struct algorithm *algorithm,
		  const struct key **key)
{
	int named = 0;
	int fitting = 0;

	for (int i = 0; i < set->count; i++)
	{
		const struct key *each = &set->keys[i];

		if (id != NULL && (each->id == NULL || strcmp(each->id, id) != 0))
			continue;
		named++;
		if (fits(each, algorithm))
		{
			fitting++;
			*key = each;
		}
	}
	if (fitting == 1)
		return KEY_FOUND;
	return fitting == 0 && (named == 0 || id == NULL) ? KEY_UNKNOWN : KEY_UNFITTING;
}

/* Tokens carry r and s side by side, OpenSSL wants them in DER. */
static unsigned char *
to_der(const unsigned char *signature, size_t half, size_t *length)
{
	ECDSA_SIG *pair = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(signature, (int) half, NULL);
	BIGNUM *s = BN_bin2bn(signature + half, (int) half, NULL);
	unsigned char *der = NULL;
	int size = 0;

	if (pair != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(pair, r, s) == 1)
	{
		r = s = NULL; /* the pair's now */
		size = i2d_ECDSA_SIG(pair, &der);
	}
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(pair);
	*length = size > 0 ? (size_t) size : 0;
	return size > 0 ? der : NULL;
}

/* With the signature in OpenSSL's form. */
static bool
verify(const struct key *key, const struct algorithm *algorithm, const char *text, size_t length,
	   const unsigned char *signature, size_t signature_length)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	EVP_PKEY_CTX *options = NULL; /* the context's */
	bool good = context != NULL && EVP_DigestVerifyInit_ex(context, &options, algorithm->digest, NULL, NULL,
														   key->pkey, NULL) == 1;

	if (good && algorithm->pss)
		good = EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) == 1 &&
			   EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST) == 1;
	good = good &&
		   EVP_DigestVerify(context, signature, signature_length, (const unsigned char *) text, length) == 1;
	EVP_MD_CTX_free(context);
	return good;
}

bool
key_has_signed(const struct key *key, const struct algorithm *algorithm, const char *text, size_t length,
			   const void *signature, size_t signature_length)
{
	size_t half = key->kind == KIND_P256 ? 32 : key->kind == KIND_P384 ? 48 : 0;
	unsigned char *der = NULL;
	bool good;

	if (half == 0)
		good = verify(key, algorithm, text, length, signature, signature_length);
	else
	{
		good = signature_length == 2 * half && (der = to_der(signature, half, &signature_length)) != NULL &&
			   verify(key, algorithm, text, length, der, signature_length);
		OPENSSL_free(der);
	}
	ERR_clear_error();
	return good;
}
