// Rows of tokens; see encode.h.
#include "runtime/data/encode.h"

#include "runtime/data/wordpiece.h"

static bool fail_memory(XvError *error)
{
    return xv_fail(error, "no memory to tokenize a text");
}

static bool begin(const XvVocabulary *vocabulary, XvTokens *tokens, XvError *error)
{
    tokens->count = 0;
    return xv_tokens_add(tokens, xv_vocabulary_specials(vocabulary).cls, false) || fail_memory(error);
}

static bool end(const XvVocabulary *vocabulary, XvEncoding encoding, XvTokens *tokens, XvError *error)
{
    int most = encoding.max_tokens > 0 ? encoding.max_tokens - encoding.has_end : tokens->count;
    if (tokens->count > most) {
        tokens->count = most > 1 ? most : 1;
    }
    int32_t sep = xv_vocabulary_specials(vocabulary).sep;
    if (encoding.has_end && sep < 0) {
        return xv_fail(error, "the vocabulary has no [SEP], which ends texts here");
    }
    return !encoding.has_end || xv_tokens_add(tokens, sep, false) || fail_memory(error);
}

bool xv_encode(const XvVocabulary *vocabulary, XvEncoding encoding, const char *text, XvTokens *tokens,
               XvError *error)
{
    return begin(vocabulary, tokens, error) && xv_tokenize(vocabulary, text, tokens, error) &&
           end(vocabulary, encoding, tokens, error);
}

bool xv_encode_pieces(const XvVocabulary *vocabulary, XvEncoding encoding, const char *pieces,
                      XvTokens *tokens, XvError *error)
{
    return begin(vocabulary, tokens, error) && xv_wordpiece_split(vocabulary, pieces, tokens, error) &&
           end(vocabulary, encoding, tokens, error);
}
