/* Grammar of the language. Actions are one constructor call each (ast.c). Items of all places share one form;
   which may stand where is checked afterwards (places.c), with better messages than a grammar can give. Every
   item ends with a SEPARATOR, which tokens.c provides before '}' and at the end too; errors recover there, so
   that one run reports several. No conflicts are allowed: a rule that brings one is wrong. */

%require "3.8"
%define api.pure full
%define api.prefix {dsl_}
%define api.location.type {Span}
%define parse.error custom
%define parse.lac full
%expect 0
%param {Parser *parser}

%code requires {
#include "dsl/parse_state.h"
}

%code provides {
/* The lexer's header asks for these names. */
#define YYSTYPE DSL_STYPE
#define YYLTYPE DSL_LTYPE

int dsl_lex(DSL_STYPE *value, Span *span, Parser *parser);
}

%code {
#define YYLLOC_DEFAULT(current, rhs, n)                                             \
    do {                                                                            \
        if (n) {                                                                    \
            (current) = span_join(YYRHSLOC(rhs, 1), YYRHSLOC(rhs, n));              \
        } else {                                                                    \
            (current) = YYRHSLOC(rhs, 0);                                           \
            (current).begin = (current).end;                                        \
        }                                                                           \
    } while (0)

#define EXPR(expr_kind, expr_span, ...)                                             \
    ast_expr(parser, (AstExpr){.kind = (expr_kind), .span = (expr_span), __VA_ARGS__})
#define UNARY(what, whole, sign_span, x)                                            \
    EXPR(AST_UNARY, whole, .sign = (what), .operator_span = (sign_span), .a = (x))
#define BINARY(what, whole, sign_span, x, y)                                        \
    EXPR(AST_BINARY, whole, .sign = (what), .operator_span = (sign_span), .a = (x), .b = (y))
#define ITEM(item_kind, item_span, item_head, ...)                                  \
    ast_item(parser, (AstItem){.kind = (item_kind), .span = (item_span), .head = (item_head), __VA_ARGS__})
#define ARG(arg_span, ...) ast_arg(parser, (AstArg){.span = (arg_span), __VA_ARGS__})
#define SLICE(arg_span, from, to, by)                                               \
    ARG(arg_span, .subscript = AST_SLICE, .start = (from), .stop = (to), .step = (by))

static void dsl_error(const Span *span, Parser *parser, const char *message);
}

%initial-action { @$ = (Span){parser->source, 0, 0}; }

%union {
    Sym name;
    int64_t integer;
    double number;
    AstName named;
    AstExpr *expr;
    AstArg *arg;
    AstArgs args;
    AstType *type;
    AstTypes types;
    AstParam *param;
    AstParams params;
    AstAttribute *attribute;
    AstAttributes attributes;
    AstItem *item;
    AstItems items;
    struct { AstExpr *from, *to; } range;
}

%token END 0 "end of file"
%token SEPARATOR "end of line"
%token <name> NAME "name" STRING "text"
%token <integer> INTEGER "integer"
%token <number> FLOAT "number"
%token ADVANCES "advances" ALIAS "alias" AND "and" AS "as" ASSERT "assert" BUFFER "buffer" CONFIG "config"
%token DATA "data" DECODER "decoder" DIM "dim" DRAW "draw" ELSE "else" ENTRY "entry" FALSE_ "false"
%token FN "fn" FOR "for" IF "if"
%token IMPORT "import" IN "in" INIT "init" LET "let" LOAD "load" LOSS "loss" METRIC "metric" MINIMISE "minimise"
%token MODULE "module" NO_DECAY "no_decay" NONE "none" NOT "not" OPTIMIZER "optimizer" OR "or" OUTPUT "output"
%token PARAM "param" PROBABILITY "probability" RETURN "return" SET "set" SOURCE "source" TASK "task" TRUE_ "true"
%token ELLIPSIS "'...'" DOTS "'..'" ARROW "'->'" POWER "'**'" FLOOR_DIVIDE "'//'" EQUAL "'=='" UNEQUAL "'!='"
%token AT_MOST "'<='" AT_LEAST "'>='"

%type <named> name
%type <items> lines block config_lines config_block
%type <item> item config_entry if_item
%type <expr> expr exprs operation postfix primary path default message init_value
%type <arg> arg element subscript
%type <args> args arg_list elements dims subscripts
%type <type> type result
%type <types> types
%type <param> param
%type <params> params param_list
%type <attribute> attribute
%type <attributes> attributes
%type <range> range

%left OR
%left AND
%precedence NOT
%nonassoc EQUAL UNEQUAL '<' '>' AT_MOST AT_LEAST
%left '+' '-'
%left '*' '/' FLOOR_DIVIDE '%' '@'
%precedence NEGATION
%right POWER

%%

file: lines { parser->file->items = $1; };

lines: %empty { $$ = (AstItems){0}; }
    | lines item SEPARATOR { $$ = ast_items($1, $2); }
    | lines error SEPARATOR { $$ = $1; yyerrok; }
    ;

block: '{' lines '}' { $$ = $2; };

/* Items */

item:
      IMPORT STRING { $$ = ITEM(AST_IMPORT, @$, @1, .text = $2, .text_span = @2); }
    | CONFIG name '=' expr { $$ = ITEM(AST_CONFIG, @$, @1, .name = $2, .value = $4); }
    | CONFIG name config_block {
        $$ = ITEM(AST_CONFIG, @$, @1, .name = $2, .items = $3, .body = @3, .is_group = true);
    }
    | SET path '=' expr { $$ = ITEM(AST_SET, @$, @1, .target = $2, .value = $4); }
    | LET name '=' expr { $$ = ITEM(AST_LET, @$, @1, .name = $2, .value = $4); }
    | MODULE name '(' params ')' block {
        $$ = ITEM(AST_MODULE, @$, span_join(@1, @2), .name = $2, .params = $4.first, .items = $6, .body = @6);
    }
    | FN name '(' params ')' result block {
        $$ = ITEM(AST_FUNCTION, @$, span_join(@1, @2), .name = $2, .params = $4.first, .type = $6,
                  .items = $7, .body = @7);
    }
    | FN '(' params ')' result block {
        $$ = ITEM(AST_FUNCTION, @$, @1, .params = $3.first, .type = $5, .items = $6, .body = @6);
    }
    | LOSS name '(' params ')' result block {
        $$ = ITEM(AST_FUNCTION, @$, span_join(@1, @2), .name = $2, .params = $4.first, .type = $6,
                  .items = $7, .body = @7, .is_loss = true);
    }
    | TASK name block { $$ = ITEM(AST_TASK, @$, span_join(@1, @2), .name = $2, .items = $3, .body = @3); }
    | PARAM name ':' type attributes {
        $$ = ITEM(AST_PARAMETER, @$, span_join(@1, @2), .name = $2, .type = $4, .attributes = $5.first);
    }
    | PARAM name AS STRING ':' type attributes {
        $$ = ITEM(AST_PARAMETER, @$, span_join(@1, @2), .name = $2, .text = $4, .text_span = @4, .type = $6,
                  .attributes = $7.first);
    }
    | BUFFER name ':' type attributes {
        $$ = ITEM(AST_BUFFER, @$, span_join(@1, @2), .name = $2, .type = $4, .attributes = $5.first);
    }
    | BUFFER name AS STRING ':' type attributes {
        $$ = ITEM(AST_BUFFER, @$, span_join(@1, @2), .name = $2, .text = $4, .text_span = @4, .type = $6,
                  .attributes = $7.first);
    }
    | postfix ':' postfix attributes {
        $$ = ast_child(parser, @$, $1, $3);
        if ($$) {
            $$->attributes = $4.first;
        }
    }
    | postfix AS STRING ':' postfix attributes {
        $$ = ast_child(parser, @$, $1, $5);
        if ($$) {
            $$->text = $3;
            $$->text_span = @3;
            $$->attributes = $6.first;
        }
    }
    | ALIAS STRING '=' expr { $$ = ITEM(AST_ALIAS, @$, @1, .text = $2, .text_span = @2, .value = $4); }
    | if_item
    | FOR name IN range block {
        $$ = ITEM(AST_LOOP, @$, @1, .name = $2, .value = $4.from, .end = $4.to, .items = $5, .body = @5);
    }
    | exprs '=' exprs { $$ = ast_assignment(parser, @$, $1, $3); }
    | DRAW name '=' expr { $$ = ITEM(AST_DRAW, @$, @1, .name = $2, .value = $4); }
    | RETURN { $$ = ITEM(AST_RETURN, @$, @1, .value = NULL); }
    | RETURN exprs { $$ = ITEM(AST_RETURN, @$, @1, .value = $2); }
    | ASSERT expr message {
        $$ = ITEM(AST_ASSERT, @$, @1, .value = $2, .text = $3 ? $3->text : NULL, .text_span = @3);
    }
    | exprs { $$ = ITEM(AST_EXPRESSION, @$, @1, .value = $1); }
    | DIM name '=' expr { $$ = ITEM(AST_DIM, @$, @1, .name = $2, .value = $4); }
    | OPTIMIZER name config_block {
        $$ = ITEM(AST_OPTIMIZER, @$, @1, .name = $2, .items = $3, .body = @3, .is_group = true);
    }
    | DECODER name config_block {
        $$ = ITEM(AST_DECODER, @$, span_join(@1, @2), .name = $2, .items = $3, .body = @3, .is_group = true);
    }
    | NO_DECAY expr { $$ = ITEM(AST_NO_DECAY, @$, @1, .value = $2); }
    | SOURCE STRING block {
        $$ = ITEM(AST_SOURCE, @$, span_join(@1, @2), .text = $2, .text_span = @2, .items = $3, .body = @3);
    }
    | LOAD STRING '=' expr { $$ = ITEM(AST_LOAD, @$, @1, .text = $2, .text_span = @2, .value = $4); }
    | ENTRY name '(' params ')' block {
        $$ = ITEM(AST_ENTRY, @$, span_join(@1, @2), .name = $2, .params = $4.first, .items = $6, .body = @6);
    }
    | DATA STRING { $$ = ITEM(AST_DATA, @$, @1, .text = $2, .text_span = @2); }
    | DATA STRING config_block {
        $$ = ITEM(AST_DATA, @$, @1, .text = $2, .text_span = @2, .items = $3, .body = @3,
                  .is_group = true);
    }
    | PROBABILITY expr { $$ = ITEM(AST_PROBABILITY, @$, @1, .value = $2); }
    | ADVANCES expr { $$ = ITEM(AST_ADVANCES, @$, @1, .value = $2); }
    | OUTPUT name '=' expr { $$ = ITEM(AST_OUTPUT, @$, @1, .name = $2, .value = $4); }
    | OUTPUT name AS STRING '=' expr {
        $$ = ITEM(AST_OUTPUT, @$, @1, .name = $2, .text = $4, .text_span = @4, .value = $6);
    }
    | METRIC name '=' exprs { $$ = ITEM(AST_METRIC, @$, @1, .name = $2, .value = $4); }
    | MINIMISE expr { $$ = ITEM(AST_MINIMISE, @$, @1, .value = $2); }
    ;

if_item:
      IF expr block { $$ = ITEM(AST_IF, @$, @1, .value = $2, .items = $3, .body = @3); }
    | IF expr block ELSE block {
        $$ = ITEM(AST_IF, @$, @1, .value = $2, .items = $3, .body = @3, .otherwise = $5,
                  .otherwise_body = @5);
    }
    | IF expr block ELSE if_item {
        $$ = ITEM(AST_IF, @$, @1, .value = $2, .items = $3, .body = @3,
                  .otherwise = ast_items((AstItems){0}, $5), .otherwise_body = @5);
    }
    ;

message: %empty { $$ = NULL; }
    | ',' STRING { $$ = EXPR(AST_STRING, @2, .text = $2); };

range: expr { $$.from = $1; $$.to = NULL; }
    | expr DOTS expr { $$.from = $1; $$.to = $3; };

config_block: '{' config_lines '}' { $$ = $2; };

config_lines: %empty { $$ = (AstItems){0}; }
    | config_lines config_entry SEPARATOR { $$ = ast_items($1, $2); }
    | config_lines config_entry ',' { $$ = ast_items($1, $2); }
    | config_lines SEPARATOR { $$ = $1; }
    | config_lines error SEPARATOR { $$ = $1; yyerrok; }
    ;

config_entry: name '=' expr { $$ = ITEM(AST_CONFIG, @$, @1, .name = $1, .value = $3); }
    | name config_block {
        $$ = ITEM(AST_CONFIG, @$, @1, .name = $1, .items = $2, .body = @2, .is_group = true);
    }
    ;

path: name { $$ = EXPR(AST_NAME, @$, .text = $1.text); }
    | path '.' name { $$ = EXPR(AST_MEMBER, @$, .a = $1, .text = $3.text, .operator_span = @3); };

name: NAME { $$ = (AstName){$1, @1}; };

/* Parameters, types, attributes */

params: %empty { $$ = (AstParams){0}; } | param_list | param_list ',' { $$ = $1; };

param_list: param { $$ = (AstParams){$1, $1}; }
    | param_list ',' param { $$ = $1; AST_APPEND($$, $3); };

param: name default { $$ = ast_param(parser, (AstParam){.name = $1, .value = $2}); }
    | name ':' type default { $$ = ast_param(parser, (AstParam){.name = $1, .type = $3, .value = $4}); }
    | name AS STRING ':' type {
        $$ = ast_param(parser, (AstParam){.name = $1, .text = $3, .text_span = @3, .type = $5});
    };

default: %empty { $$ = NULL; } | '=' expr { $$ = $2; };

result: %empty { $$ = NULL; } | ARROW type { $$ = $2; };

type: '[' dims ']' { $$ = ast_type(parser, (AstType){.span = @$, .dims = $2.first}); }
    | '[' ELLIPSIS ']' { $$ = ast_type(parser, (AstType){.span = @$, .has_ellipsis = true, .ellipsis = @2}); }
    | '[' ELLIPSIS ',' elements ']' {
        $$ = ast_type(parser, (AstType){.span = @$, .has_ellipsis = true, .ellipsis = @2, .dims = $4.first});
    }
    | name '[' dims ']' {
        $$ = ast_type(parser, (AstType){.span = @$, .dtype = ast_dtype(parser, $1), .dims = $3.first});
    }
    | name '[' ELLIPSIS ']' {
        $$ = ast_type(parser, (AstType){.span = @$, .dtype = ast_dtype(parser, $1), .has_ellipsis = true,
                                        .ellipsis = @3});
    }
    | name '[' ELLIPSIS ',' elements ']' {
        $$ = ast_type(parser, (AstType){.span = @$, .dtype = ast_dtype(parser, $1), .has_ellipsis = true,
                                        .ellipsis = @3, .dims = $5.first});
    }
    | '(' types ')' {
        $$ = ast_type(parser, (AstType){.kind = AST_TUPLE_TYPE, .span = @$, .parts = $2.first});
    }
    ;

types: type { $$ = (AstTypes){$1, $1}; } | types ',' type { $$ = $1; AST_APPEND($$, $3); };

dims: %empty { $$ = (AstArgs){0}; } | elements | elements ',' { $$ = $1; };

attributes: %empty { $$ = (AstAttributes){0}; } | attributes attribute { $$ = $1; AST_APPEND($$, $2); };

attribute: name { $$ = ast_attribute(parser, (AstAttribute){.name = $1}); }
    | name '(' args ')' {
        AstExpr *callee = EXPR(AST_NAME, @1, .text = $1.text);
        AstExpr *call = EXPR(AST_CALL, @$, .operator_span = @2, .a = callee, .args = $3.first);
        $$ = ast_attribute(parser, (AstAttribute){.name = $1, .value = call});
    }
    | INIT init_value {
        AstName name = {intern(parser->context->names, "init"), @1};
        $$ = ast_attribute(parser, (AstAttribute){.name = name, .value = $2});
    }
    ;

init_value: name { $$ = EXPR(AST_NAME, @$, .text = $1.text); }
    | name '(' args ')' {
        AstExpr *callee = EXPR(AST_NAME, @1, .text = $1.text);
        $$ = EXPR(AST_CALL, @$, .operator_span = @2, .a = callee, .args = $3.first);
    }
    ;

/* Expressions */

exprs: expr
    | expr ',' elements {
        AstArg *first = ARG(@1, .value = $1);
        first->next = $3.first;
        $$ = EXPR(AST_TUPLE, @$, .args = first);
    }
    ;

expr: operation
    | operation IF operation ELSE expr {
        $$ = EXPR(AST_SELECT, @$, .operator_span = @2, .a = $1, .b = $3, .c = $5);
    }
    ;

operation: postfix
    | operation OR operation { $$ = BINARY(AST_OR, @$, @2, $1, $3); }
    | operation AND operation { $$ = BINARY(AST_AND, @$, @2, $1, $3); }
    | NOT operation { $$ = UNARY(AST_NOT, @$, @1, $2); }
    | operation EQUAL operation { $$ = BINARY(AST_EQ, @$, @2, $1, $3); }
    | operation UNEQUAL operation { $$ = BINARY(AST_NE, @$, @2, $1, $3); }
    | operation '<' operation { $$ = BINARY(AST_LT, @$, @2, $1, $3); }
    | operation '>' operation { $$ = BINARY(AST_GT, @$, @2, $1, $3); }
    | operation AT_MOST operation { $$ = BINARY(AST_LE, @$, @2, $1, $3); }
    | operation AT_LEAST operation { $$ = BINARY(AST_GE, @$, @2, $1, $3); }
    | operation '+' operation { $$ = BINARY(AST_ADD, @$, @2, $1, $3); }
    | operation '-' operation { $$ = BINARY(AST_SUB, @$, @2, $1, $3); }
    | operation '*' operation { $$ = BINARY(AST_MUL, @$, @2, $1, $3); }
    | operation '/' operation { $$ = BINARY(AST_DIV, @$, @2, $1, $3); }
    | operation FLOOR_DIVIDE operation { $$ = BINARY(AST_FLOOR_DIV, @$, @2, $1, $3); }
    | operation '%' operation { $$ = BINARY(AST_MOD, @$, @2, $1, $3); }
    | operation '@' operation { $$ = BINARY(AST_MATMUL, @$, @2, $1, $3); }
    | '-' operation %prec NEGATION { $$ = UNARY(AST_NEG, @$, @1, $2); }
    | operation POWER operation { $$ = BINARY(AST_POW, @$, @2, $1, $3); }
    ;

postfix: primary
    | postfix '(' args ')' { $$ = EXPR(AST_CALL, @$, .operator_span = @2, .a = $1, .args = $3.first); }
    | postfix '.' name { $$ = EXPR(AST_MEMBER, @$, .operator_span = @3, .a = $1, .text = $3.text); }
    | postfix '[' subscripts ']' { $$ = EXPR(AST_INDEX, @$, .operator_span = @2, .a = $1, .args = $3.first); }
    ;

primary: INTEGER { $$ = EXPR(AST_INT, @$, .integer = $1); }
    | FLOAT { $$ = EXPR(AST_FLOAT, @$, .number = $1); }
    | STRING { $$ = EXPR(AST_STRING, @$, .text = $1); }
    | TRUE_ { $$ = EXPR(AST_TRUE, @$, .text = NULL); }
    | FALSE_ { $$ = EXPR(AST_FALSE, @$, .text = NULL); }
    | NONE { $$ = EXPR(AST_NONE, @$, .text = NULL); }
    | NAME { $$ = EXPR(AST_NAME, @$, .text = $1); }
    | '(' expr ')' { $$ = $2; }
    | '(' expr ',' dims ')' {
        AstArg *first = ARG(@2, .value = $2);
        first->next = $4.first;
        $$ = EXPR(AST_TUPLE, @$, .operator_span = @1, .args = first);
    }
    | '[' dims ']' { $$ = EXPR(AST_LIST, @$, .operator_span = @1, .args = $2.first); }
    | '[' expr FOR name IN range ']' {
        $$ = EXPR(AST_FOR, @$, .operator_span = @1, .a = $2, .b = $6.from, .c = $6.to, .text = $4.text);
    }
    ;

elements: element { $$ = (AstArgs){$1, $1}; } | elements ',' element { $$ = $1; AST_APPEND($$, $3); };

element: expr { $$ = ARG(@$, .value = $1); };

args: %empty { $$ = (AstArgs){0}; } | arg_list | arg_list ',' { $$ = $1; };

arg_list: arg { $$ = (AstArgs){$1, $1}; } | arg_list ',' arg { $$ = $1; AST_APPEND($$, $3); };

arg: expr { $$ = ARG(@$, .value = $1); }
    | NAME '=' expr { $$ = ARG(@$, .name = $1, .value = $3); };

subscripts: subscript { $$ = (AstArgs){$1, $1}; } | subscripts ',' subscript { $$ = $1; AST_APPEND($$, $3); };

subscript: expr { $$ = ARG(@$, .value = $1, .subscript = $1->kind == AST_NONE ? AST_NEW_AXIS : AST_AT); }
    | ELLIPSIS { $$ = ARG(@$, .subscript = AST_ELLIPSIS); }
    | ':' { $$ = SLICE(@$, NULL, NULL, NULL); }
    | expr ':' { $$ = SLICE(@$, $1, NULL, NULL); }
    | ':' expr { $$ = SLICE(@$, NULL, $2, NULL); }
    | expr ':' expr { $$ = SLICE(@$, $1, $3, NULL); }
    | ':' ':' expr { $$ = SLICE(@$, NULL, NULL, $3); }
    | expr ':' ':' expr { $$ = SLICE(@$, $1, NULL, $4); }
    | ':' expr ':' expr { $$ = SLICE(@$, NULL, $2, $4); }
    | expr ':' expr ':' expr { $$ = SLICE(@$, $1, $3, $5); }
    ;

%%

/* Bison's own errors: only that its stack is full. */
static void dsl_error(const Span *span, Parser *parser, const char *message)
{
    (void)message;
    if (!parser->is_stopped) {
        diag_error(parser->context->diag, *span, "this is nested too deeply");
    }
    parser->is_stopped = true;
}

/* Hands all tokens that would have fitted to parser_report, which groups and words them. */
static int yyreport_syntax_error(const yypcontext_t *context, Parser *parser)
{
    yysymbol_kind_t symbols[YYNTOKENS];
    const char *names[YYNTOKENS];
    int n_names = yypcontext_expected_tokens(context, symbols, YYNTOKENS);
    for (int i = 0; i < n_names; i++) {
        names[i] = yysymbol_name(symbols[i]);
    }
    yysymbol_kind_t found = yypcontext_token(context);
    SyntaxError error = {
        .span = *yypcontext_location(context),
        .found = found == YYSYMBOL_YYEMPTY ? "nothing" : yysymbol_name(found),
        .expected = names,
        .n_expected = n_names,
    };
    parser_report(parser, &error);
    return 0;
}
