/* SPDX-License-Identifier: PostgreSQL */
/* Unit test of codec/token and codec/keys: tokens good and hostile, keys of use and of none. */
#include "codec/token.h"

#include <stdlib.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "base/buf.h"
#include "base/mem.h"
#include "codec/base64.h"

#include "test/unit/tap.h"

#define NOW 1800000000 /* seconds since 1970, wherever a test needs the time */

#define CLAIMS_BUT_TIMES "\"iss\":\"https://id.example\",\"aud\":\"chat\",\"sub\":\"s-1\""
#define CLAIMS           "{" CLAIMS_BUT_TIMES ",\"iat\":1799999990,\"exp\":1800000300}"

static EVP_PKEY *rsa;        /* kid r; its algorithm is open */
static EVP_PKEY *other;      /* RSA too; in no key set */
static EVP_PKEY *p256;       /* kid e */
static EVP_PKEY *p384;       /* kid f */
static EVP_PKEY *ed;         /* kid d */
static struct key_set *keys; /* with these four */
static const struct token_rules rules = {"https://id.example", "chat", 30, NOW};

static void
add_url64(struct buf *out, const void *data, size_t length)
{
	struct buf text = {0};

	base64_write(&text, data, length);
	for (size_t i = 0; i < text.length && text.data[i] != '='; i++)
		buf_add_char(out, text.data[i] == '+' ? '-' : text.data[i] == '/' ? '_' : text.data[i]);
	buf_free(&text);
}

/* As tokens carry it: r and s side by side. */
static void
add_ec_signature(struct buf *out, const unsigned char *der, size_t length, int half)
{
	ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long) length);
	unsigned char raw[2 * 48];

	BN_bn2binpad(ECDSA_SIG_get0_r(pair), raw, half);
	BN_bn2binpad(ECDSA_SIG_get0_s(pair), raw + half, half);
	ECDSA_SIG_free(pair);
	add_url64(out, raw, 2 * (size_t) half);
}

static void
add_signature(struct buf *out, EVP_PKEY *pkey, const char *digest, bool pss)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	EVP_PKEY_CTX *options;
	unsigned char signature[1024];
	size_t length = sizeof signature;

	EVP_DigestSignInit_ex(context, &options, digest, NULL, NULL, pkey, NULL);
	if (pss)
	{
		EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING);
		EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST);
	}
	EVP_DigestSign(context, signature, &length, (const unsigned char *) out->data, out->length);
	EVP_MD_CTX_free(context);
	buf_add_char(out, '.');
	if (EVP_PKEY_get_base_id(pkey) == EVP_PKEY_EC)
		add_ec_signature(out, signature, length, EVP_PKEY_get_bits(pkey) / 8);
	else
		add_url64(out, signature, length);
}

/* header.claims; the caller frees it. */
static struct buf
unsigned_token(const char *header, const char *claims)
{
	struct buf out = {0};

	add_url64(&out, header, strlen(header));
	buf_add_char(&out, '.');
	add_url64(&out, claims, strlen(claims));
	return out;
}

static void
verdict(const char *text, enum token_verdict wanted, const char *name)
{
	struct token token = {0};
	enum token_verdict got = token_check(text, keys, &rules, &token);

	if (!ok(got == wanted && (token.subject != NULL) == (wanted == TOKEN_GOOD), name))
		printf("# got    %s\n# wanted %s\n", token_words(got), token_words(wanted));
	token_free(&token);
}

static void
signed_verdict(const char *header, const char *claims, EVP_PKEY *pkey, const char *digest, bool pss,
			   enum token_verdict wanted, const char *name)
{
	struct buf text = unsigned_token(header, claims);

	add_signature(&text, pkey, digest, pss);
	verdict(buf_text(&text), wanted, name);
	buf_free(&text);
}

/* With the ordinary header, signed by the RSA key. */
static void
claims_verdict(const char *claims, enum token_verdict wanted, const char *name)
{
	signed_verdict("{\"alg\":\"RS256\",\"kid\":\"r\",\"typ\":\"at+jwt\"}", claims, rsa, "SHA256", false,
				   wanted, name);
}

/* With the ordinary claims, signed by the RSA key. */
static void
header_verdict(const char *header, enum token_verdict wanted, const char *name)
{
	signed_verdict(header, CLAIMS, rsa, "SHA256", false, wanted, name);
}

static void
add_number(struct buf *out, EVP_PKEY *pkey, const char *param)
{
	BIGNUM *number = NULL;
	unsigned char bytes[1024];

	EVP_PKEY_get_bn_param(pkey, param, &number);
	add_url64(out, bytes, (size_t) BN_bn2bin(number, bytes));
	BN_free(number);
}

static void
add_rsa(struct buf *out, EVP_PKEY *pkey, const char *members)
{
	buf_format(out, "{\"kty\":\"RSA\",%s\"n\":\"", members);
	add_number(out, pkey, OSSL_PKEY_PARAM_RSA_N);
	buf_add_text(out, "\",\"e\":\"");
	add_number(out, pkey, OSSL_PKEY_PARAM_RSA_E);
	buf_add_text(out, "\"}");
}

static void
add_ec(struct buf *out, EVP_PKEY *pkey, const char *members)
{
	unsigned char point[1 + 2 * 48];
	size_t length;

	EVP_PKEY_get_octet_string_param(pkey, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point, &length);
	buf_format(out, "{\"kty\":\"EC\",%s\"x\":\"", members);
	add_url64(out, point + 1, length / 2);
	buf_add_text(out, "\",\"y\":\"");
	add_url64(out, point + 1 + length / 2, length / 2);
	buf_add_text(out, "\"}");
}

static void
add_ed(struct buf *out, EVP_PKEY *pkey, const char *members)
{
	unsigned char raw[32];
	size_t length = sizeof raw;

	EVP_PKEY_get_raw_public_key(pkey, raw, &length);
	buf_format(out, "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",%s\"x\":\"", members);
	add_url64(out, raw, length);
	buf_add_text(out, "\"}");
}

/* A set of what is in `list`; how many keys of use it has, -1: no set. */
static int
count_keys(struct buf *list)
{
	struct buf text = {0};
	const char *why;
	struct key_set *set;
	int count;

	buf_format(&text, "{\"keys\":[%s]}", buf_text(list));
	set = keys_read(text.data, text.length, &why);
	count = set ? keys_count(set) : -1;
	keys_free(set);
	buf_free(&text);
	buf_clear(list);
	return count;
}

static void
make_keys(void)
{
	struct buf text = {0};
	const char *why = "";

	rsa = EVP_RSA_gen(2048);
	other = EVP_RSA_gen(2048);
	p256 = EVP_EC_gen("P-256");
	p384 = EVP_EC_gen("P-384");
	ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	buf_add_text(&text, "{\"keys\":[");
	add_rsa(&text, rsa, "\"kid\":\"r\",\"use\":\"sig\",");
	buf_add_char(&text, ',');
	add_ec(&text, p256, "\"kid\":\"e\",\"crv\":\"P-256\",\"alg\":\"ES256\",");
	buf_add_char(&text, ',');
	add_ec(&text, p384, "\"kid\":\"f\",\"crv\":\"P-384\",\"key_ops\":[\"verify\"],");
	buf_add_char(&text, ',');
	add_ed(&text, ed, "\"kid\":\"d\",");
	buf_add_text(&text, "]}");
	keys = keys_read(text.data, text.length, &why);
	ok(keys != NULL && keys_count(keys) == 4, "four keys");
	buf_free(&text);
}

static void
test_good(void)
{
	struct buf text = unsigned_token("{\"alg\":\"ES256\",\"kid\":\"e\"}", CLAIMS);
	struct token token;

	header_verdict("{\"alg\":\"RS256\",\"kid\":\"r\",\"typ\":\"at+jwt\"}", TOKEN_GOOD, "RS256");
	signed_verdict("{\"alg\":\"RS384\",\"kid\":\"r\"}", CLAIMS, rsa, "SHA384", false, TOKEN_GOOD, "RS384");
	signed_verdict("{\"alg\":\"RS512\",\"kid\":\"r\"}", CLAIMS, rsa, "SHA512", false, TOKEN_GOOD, "RS512");
	signed_verdict("{\"alg\":\"PS256\",\"kid\":\"r\"}", CLAIMS, rsa, "SHA256", true, TOKEN_GOOD, "PS256");
	signed_verdict("{\"alg\":\"PS384\",\"kid\":\"r\"}", CLAIMS, rsa, "SHA384", true, TOKEN_GOOD, "PS384");
	signed_verdict("{\"alg\":\"PS512\",\"kid\":\"r\"}", CLAIMS, rsa, "SHA512", true, TOKEN_GOOD, "PS512");
	signed_verdict("{\"alg\":\"ES384\",\"kid\":\"f\"}", CLAIMS, p384, "SHA384", false, TOKEN_GOOD, "ES384");
	signed_verdict("{\"alg\":\"EdDSA\",\"kid\":\"d\"}", CLAIMS, ed, NULL, false, TOKEN_GOOD, "EdDSA");
	signed_verdict("{\"alg\":\"EdDSA\"}", CLAIMS, ed, NULL, false, TOKEN_GOOD, "no kid, one key fits");
	add_signature(&text, p256, "SHA256", false);
	if (ok(token_check(buf_text(&text), keys, &rules, &token) == TOKEN_GOOD, "ES256"))
	{
		is(token.subject, strlen(token.subject), "s-1", "its subject");
		is(token.claims, strlen(token.claims), CLAIMS, "its claims");
		ok(token.ends_after == 1800000330, "its end, with the leeway");
		token_free(&token);
	}
	buf_free(&text);
	claims_verdict(
		"{\"iss\":\"https://id.example\",\"aud\":[\"x\",\"chat\"],\"sub\":\"s\",\"exp\":1800000001.5}",
		TOKEN_GOOD, "one of several audiences, half a second");
	claims_verdict("{" CLAIMS_BUT_TIMES ",\"exp\":1799999971}", TOKEN_GOOD, "expired within the leeway");
	claims_verdict("{" CLAIMS_BUT_TIMES ",\"exp\":1800000300,\"nbf\":1800000030,\"iat\":1800000030}",
				   TOKEN_GOOD, "early within the leeway");
	header_verdict("{\"alg\":\"RS256\",\"kid\":\"r\",\"typ\":\"JWT\",\"jku\":\"https://evil.example\"}",
				   TOKEN_GOOD, "what the header says of keys is not looked at");
}

/* The public key, which everybody has, as the secret of a MAC. */
static void
test_mac(void)
{
	struct buf text = unsigned_token("{\"alg\":\"HS256\",\"kid\":\"r\"}", CLAIMS);
	BIO *bio = BIO_new(BIO_s_mem());
	unsigned char mac[32];
	char *pem;
	int length;

	PEM_write_bio_PUBKEY(bio, rsa);
	length = (int) BIO_get_mem_data(bio, &pem);
	HMAC(EVP_sha256(), pem, length, (unsigned char *) text.data, text.length, mac, NULL);
	buf_add_char(&text, '.');
	add_url64(&text, mac, sizeof mac);
	verdict(buf_text(&text), TOKEN_BAD_ALGORITHM, "HS256 with the public key for secret");
	BIO_free(bio);
	buf_free(&text);
}

static void
test_unsigned(const char *header, const char *signature, enum token_verdict wanted, const char *name)
{
	struct buf text = unsigned_token(header, CLAIMS);

	buf_add_char(&text, '.');
	buf_add_text(&text, signature);
	verdict(buf_text(&text), wanted, name);
	buf_free(&text);
}

static void
test_tampered(void)
{
	struct buf good = unsigned_token("{\"alg\":\"RS256\",\"kid\":\"r\"}", CLAIMS);
	struct buf text = unsigned_token("{\"alg\":\"RS256\",\"kid\":\"r\"}",
									 "{" CLAIMS_BUT_TIMES ",\"iat\":1799999990,\"exp\":1800009300}");
	size_t length = good.length;

	add_signature(&good, rsa, "SHA256", false);
	buf_add(&text, good.data + length, good.length - length);
	verdict(buf_text(&text), TOKEN_BAD_SIGNATURE, "tampered");
	good.data[length + 10] = good.data[length + 10] == 'A' ? 'B' : 'A';
	verdict(buf_text(&good), TOKEN_BAD_SIGNATURE, "another signature");
	buf_free(&good);
	buf_free(&text);
	signed_verdict("{\"alg\":\"RS256\",\"kid\":\"r\"}", CLAIMS, other, "SHA256", false, TOKEN_BAD_SIGNATURE,
				   "signed by somebody else");
	signed_verdict("{\"alg\":\"PS256\",\"kid\":\"r\"}", CLAIMS, rsa, "SHA256", false, TOKEN_BAD_SIGNATURE,
				   "PKCS 1 for PSS");
	signed_verdict("{\"alg\":\"RS512\",\"kid\":\"r\"}", CLAIMS, rsa, "SHA256", false, TOKEN_BAD_SIGNATURE,
				   "another digest");
	test_unsigned("{\"alg\":\"ES256\",\"kid\":\"e\"}",
				  "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
				  TOKEN_BAD_SIGNATURE, "r and s 0");
	test_unsigned("{\"alg\":\"ES256\",\"kid\":\"e\"}", "MAYCAQECAQE", TOKEN_BAD_SIGNATURE, "DER for r and s");
	test_unsigned("{\"alg\":\"EdDSA\",\"kid\":\"d\"}", "AAAA", TOKEN_BAD_SIGNATURE, "a short signature");
}

/* r and s and one byte more. */
static void
test_long_signature(void)
{
	struct buf text = unsigned_token("{\"alg\":\"ES256\",\"kid\":\"e\"}", CLAIMS);
	size_t length = text.length + 1;
	struct buf raw = {0};

	add_signature(&text, p256, "SHA256", false);
	base64url_read(&raw, text.data + length, text.length - length);
	buf_add_char(&raw, '\0');
	text.length = length;
	add_url64(&text, raw.data, raw.length);
	verdict(buf_text(&text), TOKEN_BAD_SIGNATURE, "r and s and more");
	buf_free(&raw);
	buf_free(&text);
}

static void
test_headers(void)
{
	test_unsigned("{\"alg\":\"none\"}", "", TOKEN_MALFORMED, "none, unsigned");
	test_unsigned("{\"alg\":\"none\"}", "AAAA", TOKEN_BAD_ALGORITHM, "none");
	test_unsigned("{\"alg\":\"None\"}", "AAAA", TOKEN_BAD_ALGORITHM, "None");
	test_unsigned("{\"alg\":\"nOnE\",\"kid\":\"r\"}", "AAAA", TOKEN_BAD_ALGORITHM, "nOnE");
	test_mac();
	header_verdict("{\"alg\":\"rs256\",\"kid\":\"r\"}", TOKEN_BAD_ALGORITHM, "an algorithm in small letters");
	header_verdict("{\"kid\":\"r\"}", TOKEN_MALFORMED, "no algorithm");
	header_verdict("{\"alg\":[\"RS256\"],\"kid\":\"r\"}", TOKEN_MALFORMED, "a list of algorithms");
	header_verdict("{\"alg\":\"RS256\",\"alg\":\"RS256\",\"kid\":\"r\"}", TOKEN_MALFORMED,
				   "an algorithm twice");
	header_verdict("{\"alg\":\"RS256\",\"kid\":7}", TOKEN_MALFORMED, "a kid that is no text");
	header_verdict("{\"alg\":\"RS256\",\"kid\":\"r\",\"crit\":[\"b64\"],\"b64\":false}", TOKEN_CRITICAL,
				   "unknown crit");
	header_verdict("{\"alg\":\"RS256\",\"kid\":\"r\",\"crit\":[]}", TOKEN_CRITICAL, "empty crit");
	header_verdict("{\"alg\":\"RS256\",\"kid\":\"r\",\"typ\":\"logout+jwt\"}", TOKEN_OTHER_TYPE,
				   "another type");
	header_verdict("{\"alg\":\"RS256\",\"kid\":\"r\",\"typ\":1}", TOKEN_OTHER_TYPE, "no type at all");
	header_verdict("{\"alg\":\"RS256\",\"kid\":\"e\"}", TOKEN_WRONG_KEY, "kid of another type of key");
	signed_verdict("{\"alg\":\"ES256\",\"kid\":\"f\"}", CLAIMS, p384, "SHA256", false, TOKEN_WRONG_KEY,
				   "kid of another curve");
	header_verdict("{\"alg\":\"RS256\",\"kid\":\"unknown\"}", TOKEN_UNKNOWN_KEY, "unknown kid");
	header_verdict("[]", TOKEN_MALFORMED, "a header that is no object");
}

static void
test_claims(void)
{
	claims_verdict("{" CLAIMS_BUT_TIMES ",\"exp\":1799999970}", TOKEN_EXPIRED, "expired");
	claims_verdict("{" CLAIMS_BUT_TIMES ",\"iat\":1799999990}", TOKEN_BAD_CLAIMS, "no exp");
	claims_verdict("{" CLAIMS_BUT_TIMES ",\"exp\":\"1800000300\"}", TOKEN_BAD_CLAIMS, "exp as text");
	claims_verdict("{" CLAIMS_BUT_TIMES ",\"exp\":null}", TOKEN_BAD_CLAIMS, "exp null");
	claims_verdict("{" CLAIMS_BUT_TIMES ",\"exp\":1e300}", TOKEN_BAD_CLAIMS, "exp beyond all years");
	claims_verdict("{" CLAIMS_BUT_TIMES ",\"exp\":-1}", TOKEN_BAD_CLAIMS, "exp negative");
	claims_verdict("{" CLAIMS_BUT_TIMES ",\"exp\":99999999999999999999}", TOKEN_MALFORMED,
				   "exp beyond 64 bits");
	claims_verdict("{" CLAIMS_BUT_TIMES ",\"exp\":1,\"exp\":1800000300}", TOKEN_MALFORMED, "exp twice");
	claims_verdict("{" CLAIMS_BUT_TIMES ",\"exp\":1800000300,\"nbf\":1800000031}", TOKEN_TOO_EARLY,
				   "not yet valid");
	claims_verdict("{" CLAIMS_BUT_TIMES ",\"exp\":1800000300,\"iat\":1800000031}", TOKEN_TOO_EARLY,
				   "issued in time to come");
	claims_verdict("{" CLAIMS_BUT_TIMES ",\"exp\":1800000300,\"nbf\":[]}", TOKEN_BAD_CLAIMS,
				   "nbf is no number");
	claims_verdict("{\"iss\":\"https://id.example\",\"aud\":\"cha\",\"sub\":\"s\",\"exp\":1800000300}",
				   TOKEN_WRONG_AUDIENCE, "wrong aud");
	claims_verdict(
		"{\"iss\":\"https://id.example\",\"aud\":[\"x\",7,[\"chat\"]],\"sub\":\"s\",\"exp\":1800000300}",
		TOKEN_WRONG_AUDIENCE, "none of several audiences");
	claims_verdict("{\"iss\":\"https://id.example\",\"sub\":\"s\",\"exp\":1800000300}", TOKEN_BAD_CLAIMS,
				   "no aud");
	claims_verdict("{\"iss\":\"https://id.example/\",\"aud\":\"chat\",\"sub\":\"s\",\"exp\":1800000300}",
				   TOKEN_WRONG_ISSUER, "wrong iss");
	claims_verdict("{\"aud\":\"chat\",\"sub\":\"s\",\"exp\":1800000300}", TOKEN_BAD_CLAIMS, "no iss");
	claims_verdict("{\"iss\":\"https://id.example\",\"aud\":\"chat\",\"sub\":\"\",\"exp\":1800000300}",
				   TOKEN_BAD_CLAIMS, "nobody's");
	claims_verdict("{" CLAIMS_BUT_TIMES ",\"exp\":1800000300}}", TOKEN_MALFORMED,
				   "something behind the claims");
	claims_verdict("7", TOKEN_MALFORMED, "claims that are no object");
}

static void
test_texts(void)
{
	struct buf text = unsigned_token("{\"alg\":\"RS256\",\"kid\":\"r\"}", CLAIMS);
	size_t length = text.length;

	verdict("", TOKEN_MALFORMED, "nothing");
	verdict("..", TOKEN_MALFORMED, "three empty parts");
	verdict("a.b.c", TOKEN_MALFORMED, "no base64");
	verdict("e30.e30.AA.AA", TOKEN_MALFORMED, "four parts");
	add_signature(&text, rsa, "SHA256", false);
	ok(token_has_shape(buf_text(&text)) && !token_has_shape("a.b") && !token_has_shape("0123456789abcdef"),
	   "the shape of a token");
	buf_add_char(&text, '=');
	verdict(buf_text(&text), TOKEN_MALFORMED, "base64 with padding");
	text.data[text.length - 1] = 'A';
	text.data[length + 5] = '+';
	verdict(buf_text(&text), TOKEN_MALFORMED, "base64 of another alphabet");
	text.length = length;
	buf_add_text(&text, ".AB");
	verdict(buf_text(&text), TOKEN_MALFORMED, "base64 with bits to spare");
	buf_free(&text);
}

/* Right in all else. */
static void
test_size(int filler, enum token_verdict wanted, const char *name)
{
	struct buf claims = {0};

	buf_format(&claims, "{" CLAIMS_BUT_TIMES ",\"exp\":1800000300,\"x\":\"%0*d\"}", filler, 0);
	claims_verdict(buf_text(&claims), wanted, name);
	buf_free(&claims);
}

static void
base64url(const char *text, bool wanted)
{
	struct buf out = {0};

	ok(base64url_read(&out, text, strlen(text)) == wanted, text);
	buf_free(&out);
}

static void
test_base64url(void)
{
	base64url("", true);
	base64url("QQ", true);
	base64url("QUI", true);
	base64url("QUJD", true);
	base64url("-_8", true);
	base64url("Q", false);
	base64url("QUJDQ", false);
	base64url("QR", false);
	base64url("QUJ", false);
	base64url("QQ==", false);
	base64url("+/8", false);
	base64url("Q Q", false);
}

static void
test_key_sets(void)
{
	struct buf list = {0};
	EVP_PKEY *weak = EVP_RSA_gen(1024);
	const char *why = "";
	static const char nothing[] = "{\"keys\":{}}";

	add_rsa(&list, weak, "");
	ok(count_keys(&list) == -1, "RSA with 1024 bits");
	add_rsa(&list, rsa, "\"use\":\"enc\",");
	ok(count_keys(&list) == -1, "a key for encryption");
	add_rsa(&list, rsa, "\"key_ops\":[\"encrypt\"],");
	ok(count_keys(&list) == -1, "the same by its operations");
	add_rsa(&list, rsa, "\"alg\":\"RSA-OAEP\",");
	ok(count_keys(&list) == -1, "the same by its algorithm");
	add_ec(&list, p256, "\"crv\":\"P-384\",");
	ok(count_keys(&list) == -1, "a point of another curve");
	add_ec(&list, p256, "\"crv\":\"secp256k1\",");
	ok(count_keys(&list) == -1, "an unknown curve");
	buf_add_text(
		&list,
		"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE\",\"y\":"
		"\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE\"}");
	ok(count_keys(&list) == -1, "a point off the curve");
	buf_add_text(&list, "{\"kty\":\"oct\",\"k\":\"AAAA\"},{\"kty\":\"new\"},7,{},");
	add_ed(&list, ed, "\"kid\":\"x\",\"x5t\":\"?\",");
	ok(count_keys(&list) == 1, "what is unknown is left out");
	buf_free(&list);
	ok(keys_read(nothing, sizeof nothing - 1, &why) == NULL, "no list");
	is(why, strlen(why), "no member keys", "and why");
	EVP_PKEY_free(weak);
}

/* Two RSA keys: without kid neither may be taken; with an algorithm of its own a key takes no other. */
static void
test_choice(void)
{
	struct key_set *four = keys;
	struct buf text = {0};
	const char *why;

	buf_add_text(&text, "{\"keys\":[");
	add_rsa(&text, rsa, "\"kid\":\"r\",\"alg\":\"PS256\",");
	buf_add_char(&text, ',');
	add_rsa(&text, other, "\"kid\":\"o\",");
	buf_add_text(&text, "]}");
	keys = keys_read(text.data, text.length, &why);
	signed_verdict("{\"alg\":\"PS256\"}", CLAIMS, rsa, "SHA256", true, TOKEN_WRONG_KEY,
				   "no kid, two keys fit");
	signed_verdict("{\"alg\":\"RS256\"}", CLAIMS, other, "SHA256", false, TOKEN_GOOD, "no kid, one key fits");
	signed_verdict("{\"alg\":\"EdDSA\"}", CLAIMS, ed, NULL, false, TOKEN_UNKNOWN_KEY, "no kid, no key fits");
	header_verdict("{\"alg\":\"RS256\",\"kid\":\"r\"}", TOKEN_WRONG_KEY, "a key of another algorithm");
	keys_free(keys);
	buf_free(&text);
	keys = four;
}

int
main(void)
{
	make_keys();
	test_good();
	test_tampered();
	test_long_signature();
	test_headers();
	test_claims();
	test_texts();
	test_size(5500, TOKEN_GOOD, "long");
	test_size(6000, TOKEN_MALFORMED, "too long");
	test_base64url();
	test_key_sets();
	test_choice();
	keys_free(keys);
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(other);
	EVP_PKEY_free(p256);
	EVP_PKEY_free(p384);
	EVP_PKEY_free(ed);
	return done();
}
