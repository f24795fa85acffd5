/* A PKCS#11 module in front of another one (SHIM_REAL): it counts logins, and does as if its token were taken away, had one
 * try for its PIN left, or signed slowly, while the files `away`, `final` and `slow` are in the folder SHIM_STATE. For tests
 * alone.
 *
 * CK_FUNCTION_LIST of PKCS#11 2.40 is a version and 68 pointers; what is not replaced goes through as it is.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef unsigned long ulong_t;
enum { GET_FUNCTION_LIST = 3, GET_SLOT_LIST = 4, GET_TOKEN_INFO = 6, OPEN_SESSION = 12, CLOSE_ALL = 14, LOGIN = 18, SIGN_INIT = 42 };
enum { OK = 0, DEVICE_REMOVED = 0x32, TOKEN_NOT_PRESENT = 0xe0, FINAL_TRY = 0x20000, FLAGS_AT = 96 };

struct list { unsigned char major, minor; void *f[68]; };
static struct list mine;
static const struct list *real;
static ulong_t last_slot;

static int is_there(const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", getenv("SHIM_STATE"), name);
    return access(path, F_OK) == 0;
}

/* A line in a file of the folder. */
static void note(const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", getenv("SHIM_STATE"), name);
    FILE *file = fopen(path, "a");
    if (file) {
        fputs("once\n", file);
        fclose(file);
    }
}

static ulong_t get_slot_list(unsigned char present, ulong_t *slots, ulong_t *count)
{
    if (is_there("away")) {
        *count = 0;
        return OK;
    }
    return ((ulong_t (*)(unsigned char, ulong_t *, ulong_t *))real->f[GET_SLOT_LIST])(present, slots, count);
}

static ulong_t get_token_info(ulong_t slot, unsigned char *info)
{
    ulong_t result = ((ulong_t (*)(ulong_t, unsigned char *))real->f[GET_TOKEN_INFO])(slot, info);
    if (result == OK && is_there("final"))
        *(ulong_t *)(info + FLAGS_AT) |= FINAL_TRY;
    return result;
}

static ulong_t open_session(ulong_t slot, ulong_t flags, void *application, void *notify, ulong_t *session)
{
    if (is_there("away"))
        return TOKEN_NOT_PRESENT;
    last_slot = slot;
    return ((ulong_t (*)(ulong_t, ulong_t, void *, void *, ulong_t *))real->f[OPEN_SESSION])(slot, flags, application, notify, session);
}

static ulong_t login(ulong_t session, ulong_t user, unsigned char *pin, ulong_t length)
{
    note("logins");
    return ((ulong_t (*)(ulong_t, ulong_t, unsigned char *, ulong_t))real->f[LOGIN])(session, user, pin, length);
}

static ulong_t sign_init(ulong_t session, void *mechanism, ulong_t key)
{
    if (is_there("away")) {
        /* What is taken away forgets its sessions and who was logged in. */
        ((ulong_t (*)(ulong_t))real->f[CLOSE_ALL])(last_slot);
        return DEVICE_REMOVED;
    }
    if (is_there("slow")) {
        note("waiting");
        while (is_there("slow"))
            usleep(10000);
    }
    return ((ulong_t (*)(ulong_t, void *, ulong_t))real->f[SIGN_INIT])(session, mechanism, key);
}

ulong_t C_GetFunctionList(struct list **out)
{
    if (!real) {
        void *module = dlopen(getenv("SHIM_REAL"), RTLD_NOW);
        if (!module)
            return 5;
        struct list *list = NULL;
        ulong_t (*get)(struct list **) = (ulong_t (*)(struct list **))dlsym(module, "C_GetFunctionList");
        if (!get || get(&list) != OK)
            return 5;
        real = list;
        mine = *list;
        mine.f[GET_FUNCTION_LIST] = (void *)C_GetFunctionList;
        mine.f[GET_SLOT_LIST] = (void *)get_slot_list;
        mine.f[GET_TOKEN_INFO] = (void *)get_token_info;
        mine.f[OPEN_SESSION] = (void *)open_session;
        mine.f[LOGIN] = (void *)login;
        mine.f[SIGN_INIT] = (void *)sign_init;
    }
    *out = &mine;
    return OK;
}
